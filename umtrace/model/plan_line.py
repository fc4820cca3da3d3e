"""The lines of a probe plan: what is probed, how, and what is lost, as data.

Programs ask for ``state``; ``reason`` is text for people and is never parsed. The exception is
`PlanLine.from_dict`: recordings made before there was a state have it in the text alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

#: ok, as meant; substitute, something else stands in; lost, a part or all of it is not seen;
#: declined, a tier that was tried and is not used
State = Literal["ok", "substitute", "lost", "declined"]

BUFFER = "buffer"  #: first word of the meaning of a line that says which buffer a run had
PROGRAMS = "programs"  #: meaning of the line that says where compiled programs came from
_BEFORE: dict[State, str] = {"lost": "lost: ", "declined": "not used: "}
_OK = "ok"


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanLine:
    """What was decided for one meaning.

    Attributes
    ----------
    meaning : str
        What is to be known, or the tier that was declined.
    probe, how : str
        What is probed and in which way; ``-`` where nothing is.
    state : State
        Whether it is seen as meant.
    reason : str
        What is lost and why, or why something else stands in. Empty where there is nothing to say.
    why : str
        Why it is probed so, of what is seen as meant.
    """

    meaning: str
    probe: str = "-"
    how: str = "-"
    state: State = "ok"
    reason: str = ""
    why: str = ""

    @property
    def text(self) -> str:
        """The reason as people read it; ``ok`` where there is nothing to say."""
        return f"{_BEFORE.get(self.state, '')}{self.reason}" if self.reason else _OK

    def to_dict(self) -> dict[str, str]:
        """Return it ready for JSON; versions without a state show ``reason`` as it is."""
        line = {"meaning": self.meaning, "probe": self.probe, "how": self.how}
        line |= {"state": self.state, "reason": self.text}
        return line | ({"why": self.why} if self.why else {})

    @classmethod
    def from_dict(cls, raw: Mapping[str, str]) -> PlanLine:
        """Return the line that ``to_dict`` gave, or that a version without a state wrote."""
        text = raw.get("reason", _OK)
        probe, how = raw.get("probe", "-"), raw.get("how", "-")
        state = _state(raw.get("state", ""), text, is_probed=probe != "-" and how != "-")
        reason = "" if text == _OK else text.removeprefix(_BEFORE.get(state, ""))
        return cls(
            meaning=raw.get("meaning", ""),
            probe=probe,
            how=how,
            state=state,
            reason=reason,
            why=raw.get("why", ""),
        )


def without_reason(text: str) -> str:
    """Return what is lost without the reason, which is in parentheses at its end."""
    depth = 0
    for place in range(len(text) - 1, -1, -1):
        depth += {")": 1, "(": -1}.get(text[place], 0)
        if not depth:  # the one that opens the last parenthesis, or there is none
            return text[:place].rstrip() if text.endswith(")") else text
    return text


def _state(said: str, text: str, *, is_probed: bool) -> State:
    for state in get_args(State):
        if said == state:
            return state  # type: ignore[no-any-return] # get_args knows no types
    if text == _OK:
        return "ok"
    for state, before in _BEFORE.items():
        if text.startswith(before):
            return state
    return "substitute" if is_probed else "lost"
