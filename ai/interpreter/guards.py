"""What is settled before any order is read: what chat may never do, and speech that is not an instruction."""

from __future__ import annotations

from dataclasses import dataclass

from ai.interpreter.replies import Intent, clarify, refuse
from ai.interpreter.sentence import Sentence
from ai.language.lexicon import CONTROL_VERBS, Tag

ORDER_VERBS = (
    Tag.BUY, Tag.SELL, Tag.SHORT, Tag.EXIT, Tag.COVER, Tag.INVEST, Tag.REDUCE, Tag.KEEP, Tag.CANCEL, Tag.MODIFY,
    Tag.STOP,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Control:
    """One thing with its own screen: the words that mean it, and whether a verb of change must be said as well."""

    code: str
    phrases: tuple[str, ...]
    reason: str
    link: str
    needs_verb: bool = True


CONTROLS: tuple[Control, ...] = (
    Control(
        "CARD_APPROVAL",
        ("approve", "approved", "approval", "confirm it", "confirm the", "confirm card", "confirm my", "confirm this",
         "accept the card", "press approve", "yes do it", "yes go ahead", "yes confirm", "i confirm", "i authorise",
         "i authorize", "authorise it", "authorize it", "decline the card", "decline card", "reject the card"),
        "A card is approved or declined on the card itself, by its button; words in the chat never are an approval.",
        "/orders", needs_verb=False,
    ),
    Control(
        "SECRET",
        ("password", "api key", "apikey", "api keys", "access token", "api token", "secret", "secrets", "system prompt",
         "your prompt", "your instructions", "credentials", "otp", "session id", "encryption key", "env file",
         "login url"),
        "Keys, tokens and instructions are never shown in the chat; keys are kept on the settings page, masked.",
        "/settings?tab=ai", needs_verb=False,
    ),
    Control(
        "RISK_BYPASS",
        ("skip risk", "skip the risk", "bypass risk", "bypass the risk", "ignore risk", "ignore the risk",
        "disable risk",
         "disable the risk", "override risk", "override the risk", "without risk", "without approval", "no approval",
         "without confirmation", "without asking", "without a card", "without card", "skip the card", "skip card",
         "skip approval", "skip the approval", "skip confirmation", "skip checks", "skip all checks",
         "bypass checks", "ignore previous",
         "ignore all", "ignore your", "i am admin", "i am the admin", "i am an admin", "developer mode", "jailbreak",
         "you are now", "no need to ask", "no confirmation", "directly execute", "ignore the rules", "ignore rules"),
        "Every order passes RiskGate and is approved on its card; no message changes that.",
        "/settings?tab=ai", needs_verb=False,
    ),
    Control(
        "KILL_SWITCH",
        ("kill switch", "killswitch", "kill-switch", "halt trading", "halt all trading", "resume trading",
        "stop all trading",
         "stop trading", "start trading", "trading state", "unhalt", "panic button", "halt everything"),
        "The kill switch is in the header of every page, one press; releasing it asks for your password again.",
        "/settings?tab=ai", needs_verb=True,
    ),
    Control(
        "DELEGATION",
        ("delegation", "delegated", "delegate", "mandate", "mandates", "auto execute", "auto-execute", "autopilot",
         "auto trade", "auto approve", "auto-approve", "automatically execute", "execute automatically"),
        "Delegation and mandates are armed by you on their own screen.",
        "/settings?tab=ai", needs_verb=False,
    ),
    Control(
        "FLAG",
        ("feature flag", "feature flags", "flag", "flags", "ai execution", "ai_execution_enabled", "kite mcp",
         "monitoring flag", "ai assistant"),
        "Features are switched on and off on the settings page.",
        "/settings?tab=ai",
    ),
    Control(
        "LIMITS",
        ("risk limit", "risk limits", "order limit", "order limits", "daily loss", "loss limit", "position limit",
         "exposure limit", "risk policy", "policy", "my limit", "my limits", "max order value", "order value limit",
         "the limits", "price collar", "trading limit", "trading limits", "order cap"),
        "Limits belong to the risk policy; a new version is published on the settings page, with a note.",
        "/settings?tab=ai",
    ),
)  # fmt: skip


def control_plane(sentence: Sentence) -> Intent | None:
    """A refusal for what has its own screen (rule 8), however the rest of the message reads."""
    said = f" {' '.join(sentence.words)} "
    acts = any(word in CONTROL_VERBS for word in sentence.words)
    for control in CONTROLS:
        if any(f" {phrase} " in said for phrase in control.phrases) and (acts or not control.needs_verb):
            if control.code == "CARD_APPROVAL" and is_question(sentence):
                continue
            return refuse(control.code, control.reason, control.link)
    return None


def is_question(sentence: Sentence) -> bool:
    """Asked, not told: a question mark, or a question word where a sentence of that kind begins or in Hinglish use."""
    first = sentence.first
    opens = first is not None and first.has(Tag.QUESTION, Tag.POLITE_QUESTION, Tag.WHY, Tag.ADVICE, Tag.HELP)
    return (
        sentence.asked
        or opens
        or sentence.any(Tag.WHY, Tag.ADVICE, Tag.POLITE_QUESTION)
        or _hinglish_question(sentence)
    )


def has_order_verb(sentence: Sentence) -> bool:
    return sentence.any(*ORDER_VERBS)


def not_an_instruction(sentence: Sentence) -> Intent | None:
    """Orders that are negated, past, reported, hypothetical, conditional or for later are never placed (rules 6, 7)."""
    for tag, (question, choices) in _SPEECH.items():
        if sentence.any(tag):
            missing = "condition" if tag in (Tag.CONDITION, Tag.MONITOR, Tag.LATER) else "order"
            return clarify(missing, question, choices)
    if any(item.time for item in sentence.items):
        question, choices = _SPEECH[Tag.LATER]
        return clarify("condition", question, choices)
    return None


_PLAIN = ("buy 10 INFY at 1500", "sell 5 TCS at market", "cancel my INFY order")
_SPEECH: dict[Tag, tuple[str, tuple[str, ...]]] = {
    Tag.NEGATION: ("You said not to do something, so nothing was made. What shall be done instead?", _PLAIN),
    Tag.REPORTED: (
        "That reads like someone else's words, so no order was made. If you want it, say it as your own.",
        _PLAIN,
    ),
    Tag.PAST: ("That reads like something already done, so no order was made. What shall be done now?", _PLAIN),
    Tag.MONITOR: (
        "I make orders and answers here, not alerts. A limit or trigger order waits at the exchange for its price.",
        ("buy 10 INFY limit 1450", "buy 10 INFY trigger 1520"),
    ),
    Tag.CONDITION: (
        "An order that hangs on a condition is not placed from here. A limit or trigger order waits at the "
        "exchange for its price.",
        ("buy 10 INFY limit 1450", "sell 10 INFY trigger 1440"),
    ),
    Tag.LATER: (
        "An order is made for now, not for a later time. Say it when it shall go, or use an after-market order.",
        ("buy 10 INFY at 1500", "buy 10 INFY at 1500 amo"),
    ),
}  # fmt: skip

_HINGLISH = frozenset(
    [
        "kitna",
        "kitne",
        "kitni",
        "kya",
        "kyu",
        "kyun",
        "kyon",
        "kaise",
        "kaisa",
        "kab",
        "kahan",
        "kaun",
        "kaunsa",
        "konsa",
    ]
)


def _hinglish_question(sentence: Sentence) -> bool:
    return any(word in _HINGLISH for word in sentence.words)
