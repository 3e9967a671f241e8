"""One key, one act: on threads with connections of their own, and through crashes at each point."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.http import StreamingHttpResponse
from django.utils import timezone
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory, force_authenticate
from rest_framework.views import APIView

from sigmatrader.audit import idempotency
from sigmatrader.audit.api.idempotency import idempotent
from sigmatrader.audit.api.problems import Problem, conflict, unprocessable
from sigmatrader.audit.ids import new_correlation_id
from sigmatrader.audit.models import DecisionTrace, IdempotencyRecord, SystemEvent, TraceEvent
from sigmatrader.audit.recording import recording

KEY = "approve-card-0001"
PATH = "/api/things/7/approve"


class Killed(BaseException):
    """The process dies here."""


class Desk:
    """A view whose act is a trace; ``step`` is called at each point of it."""

    def __init__(self) -> None:
        self.acts: list[str] = []
        self.resumed: list[str] = []
        self.before: Callable[[], None] = lambda: None
        self.inside: Callable[[], None] = lambda: None
        self.after: Callable[[], None] = lambda: None
        desk = self

        class Approve(APIView):
            @idempotent
            def post(self, request: Request, thing: str = "7") -> Response:
                return desk.approve(request)

        self.view = Approve.as_view()

    def approve(self, request: Any) -> Response:
        claim = request.idempotency
        if claim.resumed_subject:
            self.resumed.append(claim.resumed_subject)
            return Response({"order": claim.resumed_subject, "resumed": True}, status=202)
        self.before()
        cid = new_correlation_id()
        with recording(timezone.now()) as record:
            record.open(cid, kind="approval", actor="asha", origin="ticket")
            claim.commit(correlation_id=cid, subject=f"execution.orderintent:{cid}")
            self.inside()
        self.acts.append(cid)
        self.after()
        return Response({"order": cid, "price": request.data.get("price")}, status=202)

    def post(self, user: Any, body: object = None, *, key: str | None = KEY, path: str = PATH) -> Any:
        headers = {} if key is None else {"Idempotency-Key": key}
        text = json.dumps({"price": 1500.05} if body is None else body)
        request = APIRequestFactory().post(path, text, content_type="application/json", headers=headers)
        force_authenticate(request, user)
        response = self.view(request)
        if hasattr(response, "render"):
            response.render()
        return response


@pytest.fixture
def desk() -> Desk:
    return Desk()


def code_of(response: Any) -> str:
    return str(json.loads(response.content)["code"])


# --- one caller ----------------------------------------------------------------------------------------------------
def test_the_same_request_replays_the_stored_answer(desk: Desk, trader: Any) -> None:
    first, second = desk.post(trader), desk.post(trader)
    assert (first.status_code, second.status_code) == (202, 202)
    assert first.content == second.content == f'{{"order":"{desk.acts[0]}","price":"1500.05"}}'.encode()
    assert "Idempotent-Replayed" not in first
    assert second["Idempotent-Replayed"] == "true"
    assert second["X-Correlation-ID"] == desk.acts[0]
    assert len(desk.acts) == 1
    types = TraceEvent.objects.filter(correlation_id=desk.acts[0]).order_by("seq").values_list("type", flat=True)
    assert list(types) == ["trace.opened", "idempotency.replayed"]


def test_a_slash_at_the_end_is_the_same_request(desk: Desk, trader: Any) -> None:
    desk.post(trader)
    assert desk.post(trader, path=PATH + "/")["Idempotent-Replayed"] == "true"


@pytest.mark.parametrize(("body", "path"), [({"price": 1500.1}, PATH), (None, "/api/things/8/approve"), ({}, PATH)])
def test_another_request_under_the_key_is_refused(desk: Desk, trader: Any, body: object, path: str) -> None:
    first = desk.post(trader)
    other = desk.post(trader, body, path=path)
    assert (other.status_code, code_of(other)) == (422, "IDEMPOTENCY_MISMATCH")
    assert len(desk.acts) == 1
    assert TraceEvent.objects.filter(correlation_id=desk.acts[0], type="idempotency.mismatch").count() == 1
    assert desk.post(trader).content == first.content


def test_a_key_belongs_to_its_user(desk: Desk, trader: Any, other_trader: Any) -> None:
    desk.post(trader)
    assert "Idempotent-Replayed" not in desk.post(other_trader)
    assert len(desk.acts) == 2


@pytest.mark.parametrize(
    ("key", "code"),
    [
        (None, "IDEMPOTENCY_KEY_REQUIRED"),
        ("", "IDEMPOTENCY_KEY_REQUIRED"),
        ("a" * 15, "IDEMPOTENCY_KEY_INVALID"),
        ("a" * 256, "IDEMPOTENCY_KEY_INVALID"),
        ("ключ-ключ-ключ-ключ", "IDEMPOTENCY_KEY_INVALID"),
        ("tab\tab-and-some-more-text", "IDEMPOTENCY_KEY_INVALID"),
    ],
)
def test_a_bad_key_is_refused_before_anything(desk: Desk, trader: Any, key: str | None, code: str) -> None:
    response = desk.post(trader, key=key)
    assert (response.status_code, code_of(response)) == (400, code)
    assert (desk.acts, IdempotencyRecord.objects.count()) == ([], 0)


@pytest.mark.parametrize("key", ["a" * 16, "~" * 255, "with spaces in it!"])
def test_a_good_key_is_taken(desk: Desk, trader: Any, key: str) -> None:
    assert desk.post(trader, key=key).status_code == 202


def test_a_body_that_was_not_understood_leaves_the_key_unused(desk: Desk, trader: Any) -> None:
    def refuse() -> None:
        raise unprocessable("VALIDATION", "no")

    desk.before = refuse
    assert desk.post(trader, {"price": 1}).status_code == 422
    assert IdempotencyRecord.objects.count() == 0
    desk.before = lambda: None
    assert desk.post(trader, {"price": 2}).status_code == 202


def test_a_refusal_by_state_leaves_the_key_to_the_same_request(desk: Desk, trader: Any) -> None:
    def refuse() -> None:
        raise conflict("TRADING_HALTED", "no")

    desk.before = refuse
    assert code_of(desk.post(trader)) == "TRADING_HALTED"
    assert code_of(desk.post(trader)) == "TRADING_HALTED"
    desk.before = lambda: None
    assert code_of(desk.post(trader, {"price": 9})) == "IDEMPOTENCY_MISMATCH"
    assert desk.post(trader).status_code == 202
    assert len(desk.acts) == 1


def test_a_refusal_inside_the_act_rolls_the_claim_back_too(desk: Desk, trader: Any) -> None:
    def fail() -> None:
        raise Problem("STORAGE_UNAVAILABLE", "no", status=503)

    desk.inside = fail
    assert desk.post(trader).status_code == 503
    record = IdempotencyRecord.objects.get()
    assert (record.recovery_point, record.subject, DecisionTrace.objects.count()) == ("started", "", 0)
    desk.inside = lambda: None
    assert desk.post(trader).status_code == 202
    assert len(desk.acts) == 1


def test_a_failure_after_the_act_is_answered_from_what_it_left(desk: Desk, trader: Any) -> None:
    def fail() -> None:
        raise RuntimeError("the broker's reply could not be read")

    desk.after = fail
    assert desk.post(trader).status_code == 500
    desk.after = lambda: None
    response = desk.post(trader)
    assert json.loads(response.content) == {"order": f"execution.orderintent:{desk.acts[0]}", "resumed": True}
    assert (len(desk.acts), len(desk.resumed)) == (1, 1)
    assert desk.post(trader)["Idempotent-Replayed"] == "true"


def test_a_stream_is_kept_by_its_view(trader: Any) -> None:
    class Talk(APIView):
        @idempotent
        def post(self, request: Any) -> StreamingHttpResponse:
            claim = request.idempotency

            def speak() -> Iterator[bytes]:
                yield b"data: done\n\n"
                claim.store(status=200, body="data: done\n\n", content_type="text/event-stream")

            return StreamingHttpResponse(speak(), content_type="text/event-stream")

    def ask() -> Any:
        request = APIRequestFactory().post("/api/talk", {}, format="json", headers={"Idempotency-Key": KEY})
        force_authenticate(request, trader)
        return Talk.as_view()(request)

    first = ask()
    assert code_of(ask()) == "IN_PROGRESS"
    assert b"".join(first) == b"data: done\n\n"
    again = ask()
    assert (again.content, again["Content-Type"]) == (b"data: done\n\n", "text/event-stream")


# --- crashes -------------------------------------------------------------------------------------------------------
def kill() -> None:
    raise Killed


@pytest.fixture
def killed(desk: Desk, trader: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Dies at a point, without the clean-up that a dead process does not do."""

    def die(point: str) -> None:
        monkeypatch.setattr(idempotency.Claim, "release", lambda self, forget: None)
        setattr(desk, point, kill)
        with pytest.raises(Killed):
            desk.post(trader)
        setattr(desk, point, lambda: None)
        monkeypatch.undo()

    return die


def later(seconds: int) -> None:
    for record in IdempotencyRecord.objects.all():
        record.claimed_at -= timedelta(seconds=seconds)
        record.save()


def test_a_crash_before_the_commit_frees_the_key_after_its_lease(
    desk: Desk, trader: Any, killed: Callable[[str], None]
) -> None:
    killed("before")
    assert IdempotencyRecord.objects.get().recovery_point == "started"
    assert code_of(desk.post(trader)) == "IN_PROGRESS"
    later(29)
    assert code_of(desk.post(trader)) == "IN_PROGRESS"
    later(2)
    assert desk.post(trader).status_code == 202
    assert (len(desk.acts), desk.resumed) == (1, [])


def test_a_crash_inside_the_act_leaves_nothing_of_it(desk: Desk, trader: Any, killed: Callable[[str], None]) -> None:
    killed("inside")
    assert (IdempotencyRecord.objects.get().recovery_point, DecisionTrace.objects.count()) == ("started", 0)


def test_a_crash_after_the_commit_is_resumed_and_never_repeated(
    desk: Desk, trader: Any, killed: Callable[[str], None]
) -> None:
    killed("after")
    record = IdempotencyRecord.objects.get()
    assert (record.recovery_point, record.correlation_id) == ("committed", desk.acts[0])
    assert code_of(desk.post(trader)) == "IN_PROGRESS"
    later(31)
    assert desk.post(trader).status_code == 202
    assert (len(desk.acts), desk.resumed) == (1, [f"execution.orderintent:{desk.acts[0]}"])
    assert desk.post(trader)["X-Correlation-ID"] == desk.acts[0]


def test_one_that_was_thought_dead_is_fenced(desk: Desk, trader: Any) -> None:
    def overslept() -> None:
        later(31)
        desk.before = lambda: None
        assert desk.post(trader).status_code == 202

    desk.before = overslept
    response = desk.post(trader)
    assert (response.status_code, code_of(response)) == (409, "IN_PROGRESS")
    assert len(desk.acts) == 1
    assert DecisionTrace.objects.count() == 1
    assert IdempotencyRecord.objects.get().recovery_point == "done"


def test_only_one_of_two_takes_a_dead_claim_over(trader: Any, now: datetime) -> None:
    wanted = {"scope": "user:1", "key": KEY, "digest": "d"}
    idempotency.claim(**wanted, now=now)
    record = IdempotencyRecord.objects.get()
    after = now + timedelta(seconds=31)
    first = idempotency._judge(record, digest="d", now=after)
    second = idempotency._judge(record, digest="d", now=after)
    assert (first.standing, second.standing) == (idempotency.Standing.OURS, idempotency.Standing.RUNNING)


def test_a_key_that_led_to_an_order_lives_as_long_as_orders(desk: Desk, trader: Any, settings: Any) -> None:
    settings.RETENTION_DAYS = {**settings.RETENTION_DAYS, "orders": 100}
    desk.post(trader)
    record = IdempotencyRecord.objects.get()
    assert record.expires_at - record.claimed_at == timedelta(days=100)


# --- races ---------------------------------------------------------------------------------------------------------
def at_once(count: int, act: Callable[[], Any]) -> list[Any]:
    """Runs ``act`` on ``count`` threads that start together, each with its own connection."""
    gate = threading.Barrier(count)

    def run() -> Any:
        try:
            gate.wait(timeout=20)
            return act()
        finally:
            connection.close()

    with ThreadPoolExecutor(count) as pool:
        return [future.result() for future in [pool.submit(run) for _ in range(count)]]


@pytest.mark.django_db(transaction=True)
def test_of_many_at_once_one_acts(desk: Desk, trader: Any) -> None:
    answers = at_once(24, lambda: desk.post(trader))
    statuses = {answer.status_code for answer in answers}
    assert statuses <= {202, 409}
    assert len(desk.acts) == 1
    bodies = {answer.content for answer in answers if answer.status_code == 202}
    assert len(bodies) == 1
    assert {code_of(answer) for answer in answers if answer.status_code == 409} <= {"IN_PROGRESS"}
    assert DecisionTrace.objects.count() == 1
    assert desk.post(trader)["Idempotent-Replayed"] == "true"


@pytest.mark.django_db(transaction=True)
def test_of_many_with_keys_of_their_own_all_act(desk: Desk, trader: Any) -> None:
    keys = iter([f"approve-card-{n:04d}" for n in range(8)])
    lock = threading.Lock()

    def act() -> Any:
        with lock:
            key = next(keys)
        return desk.post(trader, key=key)

    assert {answer.status_code for answer in at_once(8, act)} == {202}
    assert (len(set(desk.acts)), TraceEvent.objects.count()) == (8, 8)


@pytest.mark.django_db(transaction=True)
def test_a_storm_of_twins_is_one_line_a_second(desk: Desk, trader: Any) -> None:
    desk.post(trader)
    for _ in range(20):
        desk.post(trader)
    lines = TraceEvent.objects.filter(type="idempotency.replayed").count()
    assert 1 <= lines <= 3
    assert SystemEvent.objects.filter(event_type="idempotency.replayed").count() == 0
