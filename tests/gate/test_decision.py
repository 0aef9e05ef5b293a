"""The decision: every combination against ``fields.md``, written down here once more in its own words."""

from __future__ import annotations

import itertools

import pytest

from portal.gate.decision import Door, Outcome, Person, Shown, decide, effective_roles, grants_of, may_use
from portal.gate.tokens import How

UNAUTHENTICATED, PASSWORD, LOGIN_COOKIE, KERBEROS = 64, 32, 16384, 4
BITS = (UNAUTHENTICATED, PASSWORD, LOGIN_COOKIE, KERBEROS)
COMBINATIONS = [sum(bits) for count in range(5) for bits in itertools.combinations(BITS, count)]
#: The system can allow what Stoa has.
SYSTEM = [bits for bits in COMBINATIONS if not bits & KERBEROS]

HOLDER = Person(1, "holder", "proof", {"readers": "Readers"})
STRANGER = Person(2, "stranger", "proof", {"others": "Others"})
ADMINISTRATOR = Person(3, "admin", "proof", {"%all": "%ALL"})
PEOPLE = {"holder": HOLDER, "stranger": STRANGER, "admin": ADMINISTRATOR}
REFUSED = {"wrong": Outcome.WRONG, "locked": Outcome.LOCKED, "busy": Outcome.BUSY}
RESOURCES = ("", "Reading")

#: What can be shown: Basic, then the session (and what stands behind it), then the login cookie.
BASIC = [None, *PEOPLE, *REFUSED]
SESSION = [None, ("holder", How.PASSWORD), ("stranger", How.PASSWORD), ("holder", How.LOGIN_COOKIE)]
LOGIN = [None, "admin", "stranger"]


def door(methods: int, resource: str = "", match_roles: str = "") -> Door:
    return Door(9, "/app", "/app", "", methods, resource, frozenset({"readers"}), grants=grants_of(match_roles))


def stated(methods: int, system: int, resource: str, basic: object, session: object, login: object) -> str:
    """Say what fields.md says: a word, or "enter" with a name."""
    both = {bit for bit in BITS if methods & bit and system & bit}
    if not both:
        return "no-method"  # "Nothing left: 403."
    who = None
    if basic:  # "Credentials that are sent are used"; "Sent credentials that are wrong are 401".
        if PASSWORD not in both:
            return "wrong"
        if basic in REFUSED:
            return str(basic)
        who = basic
    elif session and {How.PASSWORD: PASSWORD, How.LOGIN_COOKIE: LOGIN_COOKIE}[session[1]] in both:  # type: ignore[index]
        who = session[0]  # type: ignore[index]  # "Existing sign-in"
    elif login and LOGIN_COOKIE in both:
        who = login  # "Login cookie"
    if who:  # "Then the resource."
        return f"enter {who}" if not resource or who in ("holder", "admin") else "no-right"
    if UNAUTHENTICATED in both and not resource:
        return "enter UnknownUser"
    return "sign-in" if both & {PASSWORD, LOGIN_COOKIE} else "no-right"


@pytest.mark.parametrize("system", SYSTEM)
@pytest.mark.parametrize("methods", COMBINATIONS)
def test_the_whole_table(methods: int, system: int) -> None:
    for resource, basic, session, login in itertools.product(RESOURCES, BASIC, SESSION, LOGIN):
        # The gatekeeper asks nobody about a password where Password is not in force: it is wrong.
        checked = basic if methods & system & PASSWORD or not basic else "wrong"
        shown = Shown(
            basic=REFUSED.get(checked) or PEOPLE[checked] if checked else None,
            session=(PEOPLE[session[0]], session[1]) if session else None,
            login=PEOPLE[login] if login else None,
        )

        decision = decide(door(methods, resource), system, shown)

        said = decision.outcome.value
        if decision.outcome is Outcome.ENTER:
            said += f" {decision.user}"
        assert said == stated(methods, system, resource, basic, session, login), (resource, shown)


@pytest.mark.parametrize("methods", [64, 64 + 32, 64 + 16384])
@pytest.mark.parametrize("basic", PEOPLE.values(), ids=PEOPLE)
def test_a_right_password_does_not_enter_where_password_is_off(methods: int, basic: Person) -> None:
    system = UNAUTHENTICATED | LOGIN_COOKIE

    assert decide(door(methods), system, Shown(basic=basic)).outcome is Outcome.WRONG


@pytest.mark.parametrize("outcome", [one for one in Outcome if one is not Outcome.ENTER])
def test_nobody_enters_by_a_refusal(outcome: Outcome) -> None:
    decision = decide(door(64 + 32), 64 + 32, Shown(basic=outcome, session=(ADMINISTRATOR, How.PASSWORD)))

    assert (decision.outcome, decision.person, decision.user, decision.roles) == (outcome, None, "", ())


def test_who_is_refused_has_no_roles_there() -> None:
    decision = decide(door(32, "Reading", ":%ALL"), 32, Shown(basic=STRANGER))

    assert (decision.outcome, decision.roles) == (Outcome.NO_RIGHT, ())


# Resources


@pytest.mark.parametrize(
    ("roles", "holders", "may"),
    [
        ((), (), False),
        ((), ("readers",), False),
        (("readers",), (), False),
        (("readers",), ("readers",), True),
        (("others", "readers"), ("readers",), True),
        (("reader",), ("readers",), False),
        (("%all",), (), True),
        (("all",), (), False),
        (("",), ("readers",), False),
    ],
)
def test_who_may_use_a_resource(roles: tuple[str, ...], holders: tuple[str, ...], may: bool) -> None:
    required = Door(1, "/a", "/a", "", 32, "Reading", frozenset(holders))

    assert may_use(required, roles) is may


def test_roles_that_the_application_grants_do_not_open_it() -> None:
    decision = decide(door(32, "Reading", ":Readers,:%ALL"), 32, Shown(basic=STRANGER))

    assert decision.outcome is Outcome.NO_RIGHT


# Roles


@pytest.mark.parametrize(
    ("match_roles", "roles", "effective"),
    [
        ("", "", ""),
        ("", "Readers", "Readers"),
        (":%ALL", "", "%ALL"),
        (":%All", "%ALL", "%ALL"),
        (":A:B", "Readers", "Readers A B"),
        ("Readers:Writers", "Readers", "Readers Writers"),
        ("READERS:Writers", "readers", "readers Writers"),
        ("Readers:Writers", "Others", "Others"),
        ("Readers:Writers", "", ""),
        ("Readers:readers", "Readers", "Readers"),
        ("Readers:Writers:Editors,Others:Guests", "Readers Others", "Readers Others Writers Editors Guests"),
        # A role that is granted opens no further match.
        ("Readers:Writers,Writers:Editors", "Readers", "Readers Writers"),
        ("Writers:Editors,Readers:Writers", "Readers", "Readers Writers"),
        (":Writers,Writers:%ALL", "", "Writers"),
        ("Readers:Writers,Readers:Writers:WRITERS", "Readers", "Readers Writers"),
        # What is no entry grants nothing.
        ("Readers", "Readers", "Readers"),
        ("Readers:", "Readers", "Readers"),
        (":", "Readers", "Readers"),
        (",,,", "Readers", "Readers"),
        (":::A", "", "A"),
        (" Readers : Writers , : Guests ", "Readers", "Readers Writers Guests"),
    ],
)
def test_effective_roles(match_roles: str, roles: str, effective: str) -> None:
    held = {role.lower(): role for role in roles.split()}

    assert effective_roles(door(64, match_roles=match_roles), held) == tuple(effective.split())


def test_nobody_in_particular_has_what_the_application_grants_to_everybody() -> None:
    decision = decide(door(64 + 32, match_roles=":Guests,Readers:Writers"), 64 + 32, Shown())

    assert (decision.user, decision.roles) == ("UnknownUser", ("Guests",))
