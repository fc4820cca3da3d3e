"""The lab's commands."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from lab import batch, boot, built, cache, compare, host, kernel, own, ready, table
from lab.archive import Archive
from lab.errors import LabError, NotServedError
from lab.job import Job
from umtrace.model import tiers

Command = TypeVar("Command", bound=Callable[..., object])


_extra_option = click.option(
    "--with", "extra", metavar="NAME", help="Take the userland with more in it: engines."
)


def _machine_options(command: Command) -> Command:
    for option in (
        click.option("--append", default="", metavar="PARAMS", help="More kernel parameters."),
        click.option("--mem", "memory", default="2G", show_default=True, help="Guest memory."),
        click.option("--cpus", default=2, show_default=True, help="Guest processors."),
        click.option(
            "--icount", is_flag=True, help="Let guest time count instructions: 1 ns for each."
        ),
        click.option(
            "--compile-inside", is_flag=True, help="Compile BPF programs in the guest: slow."
        ),
        click.option(
            "--in",
            "carried",
            type=click.Path(exists=True, file_okay=False, path_type=Path),
            help="Folder that the guest gets as $LAB_IN.",
        ),
        click.option(
            "--disk",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="Raw image that the guest writes to as the disk $LAB_DISK; a crash leaves it.",
        ),
        _extra_option,
        click.option("--no-tracefs", is_flag=True, help="Leave tracefs and debugfs unmounted."),
        click.option(
            "--out", type=click.Path(path_type=Path), help="Folder for what is left in $LAB_OUT."
        ),
    ):
        command = option(command)
    return command


timeout_option = click.option(
    "--timeout", default=900.0, show_default=True, metavar="S", help="Kill the guest after S."
)


class _Commands(click.Group):
    """A group whose errors are one line on stderr."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except LabError as error:
            host.say(f"error: {error}")
            ctx.exit(1)


@click.group(cls=_Commands)
def main() -> None:
    """Boot distribution kernels under software emulation and run commands in them."""
    signal.signal(signal.SIGTERM, _terminated)


@main.command("list")
def list_() -> None:
    """Show the table: what is set up, and what the mirror serves."""
    root, known = cache.folder(), table.load()
    archive = Archive(root, known)
    click.echo(f"{'NAME':14} {'SET UP':22} {'SERVED':22} {'FLAVOUR':12} NOTE")
    for row in known.kernels.values():
        booted = kernel.load(root, row, known)
        have = booted.version if booted else "-"
        click.echo(
            f"{row.name:14} {have:22} {_served(archive, row):22} {row.flavour:12} {row.note}"
        )
    for name in known.built.kernels:
        have = built.version(root, name) or "-"
        click.echo(f"{name:14} {have:22} {'-':22} {'-':12} built here: make lab-designs")


@main.command()
@click.argument("kernels", nargs=-1)
@click.option("--refresh", is_flag=True, help="Fetch the package index even when it is recent.")
@_extra_option
def setup(kernels: tuple[str, ...], refresh: bool, extra: str | None) -> None:
    """Fetch and prepare KERNELS (all of the table when none is named)."""
    rows, known = _rows(kernels), table.load()
    for item in ready.set_up(cache.folder(), known, rows, refresh=refresh, extra=extra):
        host.say(f"{item.name}: {item.kernel.release} ({item.kernel.version}) is ready")


@main.command("build")
@click.argument("names", nargs=-1, metavar="[KERNEL]...")
def build_(names: tuple[str, ...]) -> None:
    """Build the kernels of lab/designs (both when none is named): 8 minutes each on two cores."""
    known = table.load()
    for name in names or known.built.kernels:
        if name not in known.built.kernels:
            raise LabError(f"{name} is not built here; {', '.join(known.built.kernels)} are")
        place = built.build(cache.folder(), known, name)
        host.say(f"{name}: ready in {place}")


@main.command()
@click.argument("kernel_name", metavar="KERNEL")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@timeout_option
@_machine_options
def run(
    kernel_name: str, command: tuple[str, ...], timeout: float, out: Path | None, **machine: Any
) -> None:
    """Run COMMAND as root on KERNEL and end with its exit status.

    KERNEL is a name of the table, designs or designs-rt once they are built, or the path of a
    kernel's build tree, with a slash in it.

    One word is a shell command line; several are a program and its arguments. The status is 200
    when the guest gave none: a crash, a hang, or the end of its time.
    """
    prepared = _prepared(kernel_name, machine)
    job = _job(machine, command=command, timeout_seconds=timeout)
    outcome = boot.run(prepared, job, out=out, stdout=sys.stdout.buffer, stderr=sys.stderr.buffer)
    if outcome.trouble:
        host.say(f"{kernel_name}: {outcome.trouble}; the end of its console:")
        click.echo(outcome.console_tail, err=True)
    sys.exit(outcome.status)


@main.command()
@click.argument("kernel_name", metavar="KERNEL")
@_machine_options
def shell(kernel_name: str, out: Path | None, **machine: Any) -> None:
    """Open a root shell on KERNEL; Ctrl-D powers it off, Ctrl-A X kills it."""
    prepared = _prepared(kernel_name, machine)
    job = _job(machine, interactive=True)
    outcome = boot.run(prepared, job, out=out, stdout=sys.stdout.buffer, stderr=sys.stderr.buffer)
    sys.exit(outcome.status)


@main.command("run-all")
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.option("--kernels", "names", default="", metavar="A,B", help="Only these kernels.")
@click.option("--jobs", default=2, show_default=True, help="Guests at a time.")
@click.option("--verbose", is_flag=True, help="Show the output of what succeeds, too.")
@timeout_option
@_machine_options
def run_all(
    command: tuple[str, ...],
    names: str,
    jobs: int,
    verbose: bool,
    timeout: float,
    out: Path | None,
    **machine: Any,
) -> None:
    """Run COMMAND on many kernels; a line for each, status 1 when any failed.

    With --out every kernel's files, output.log and console.log go to a folder of its name.
    """
    known, extra = table.load(), machine.pop("extra")
    chosen = [name for name in names.split(",") if name] or list(known.kernels)
    _check_names(chosen)
    prepared = [ready.named(cache.folder(), known, name, extra) for name in chosen]
    job = _job(machine, command=command, timeout_seconds=timeout)
    failed = 0
    for result in batch.run(prepared, job, guests=jobs, out=out):
        failed += result.outcome.status != 0
        _show(result, verbose=verbose)
    host.say(f"{len(prepared) - failed} of {len(prepared)} kernels ok")
    sys.exit(1 if failed else 0)


@main.command("compare")
@click.argument("kernel_a", metavar="KERNEL-A")
@click.argument("kernel_b", metavar="KERNEL-B")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.option(
    "--tier",
    type=click.Choice(["auto", *tiers.names()]),
    default="auto",
    show_default=True,
    help="Record with this tier; auto: the best that each kernel has.",
)
@timeout_option
@_machine_options
def compare_(
    kernel_a: str,
    kernel_b: str,
    command: tuple[str, ...],
    tier: str,
    timeout: float,
    out: Path | None,
    **machine: Any,
) -> None:
    """Record COMMAND on two kernels, one after the other, and print `umtrace diff`.

    Without COMMAND the load is umounts of each kind by `umtrace exercise`. The recordings go to the
    new folder --out, by default lab-compare/DATE-TIME.
    """
    names, extra = [kernel_a, kernel_b], machine.pop("extra")
    _check_names(names)
    prepared = [ready.named(cache.folder(), table.load(), name, extra) for name in names]
    job = _job(machine, timeout_seconds=timeout)
    place = out or Path("lab-compare") / time.strftime("%Y%m%d-%H%M%SZ", time.gmtime())
    pair = compare.sides(prepared, place)
    for side in pair:
        compare.record(side, job, command, tier)
    sys.exit(compare.show(pair))


@main.command("apt-deps")
@click.option("--print", "only_print", is_flag=True, help="Name the packages, install nothing.")
@click.option("--build", is_flag=True, help="And what `build` needs.")
def apt_deps(only_print: bool, build: bool) -> None:
    """Install the host's packages that the lab needs and that are missing."""
    missing = host.missing_packages()
    if build:
        missing += host.not_installed(table.load().built.packages)
    if only_print:
        click.echo("\n".join(missing))
    elif missing:
        host.say(f"installing {' '.join(missing)}")
        host.run(["apt-get", "update"])
        host.run(["apt-get", "install", "-y", "--no-install-recommends", *missing])


@main.command()
@click.option("--all", "everything", is_flag=True, help="Empty the whole cache.")
def clean(everything: bool) -> None:
    """Remove from the cache what newer versions have replaced."""
    root = cache.folder()
    with cache.lock(root):
        freed = cache.clean(root, everything=everything, keep=ready.in_use(root, table.load()))
    host.say(f"freed {freed // cache.MIB} MiB in {root}")


def _terminated(number: int, _frame: object) -> None:
    # As an exception, so that guests are stopped and temporary files removed.
    sys.exit(128 + number)


def _rows(names: tuple[str, ...]) -> list[table.Kernel]:
    known = table.load()
    return [known.kernel(name) for name in names or known.kernels]


def _check_names(names: list[str]) -> None:
    """Refuse an unknown kernel before anything is fetched for the others."""
    for name in names:
        if own.is_path(name):
            own.check(Path(name), table.load())
        elif name in table.load().built.kernels:
            built.find(cache.folder(), name)
        else:
            table.load().kernel(name)


def _prepared(name: str, machine: dict[str, Any]) -> ready.Ready:
    return ready.named(cache.folder(), table.load(), name, machine.pop("extra"))


def _job(machine: dict[str, Any], **rest: Any) -> Job:
    tracefs = not machine.pop("no_tracefs")
    return Job(tracefs=tracefs, **machine, **rest)


def _served(archive: Archive, row: table.Kernel) -> str:
    if not archive.ready:
        return "?"
    try:
        return archive.pick(row).version
    except NotServedError:
        return "not served"


def _show(result: batch.Result, *, verbose: bool) -> None:
    if verbose or result.outcome.status:
        click.echo(f"--- {result.name}: output")
        sys.stdout.buffer.write(result.output)
        if result.outcome.trouble:
            click.echo(f"--- {result.name}: end of the console\n{result.outcome.console_tail}")
    click.echo(result.summary)
