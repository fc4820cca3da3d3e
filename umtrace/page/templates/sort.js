for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  const first = [...body.rows];
  heads.forEach((head, place) => {
    if (!head.textContent.trim()) return;
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    button.onclick = () => {
      const up = head.getAttribute("aria-sort") === "descending";
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const value = row => row.cells[place].dataset.value;
      const known = first.filter(row => value(row) !== "");
      const numbers = known.every(row => !isNaN(value(row)));
      known.sort((a, b) => numbers ? value(a) - value(b) : value(a).localeCompare(value(b)));
      if (!up) known.reverse();
      body.append(...known, ...first.filter(row => value(row) === ""));
    };
  });
}
