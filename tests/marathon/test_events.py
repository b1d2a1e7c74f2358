"""What is told of the changes of a cluster."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec.structs import replace

from fleetish.model import Placement
from fleetish.testing.build import machine
from fleetish.world import Touched
from marathon_compat.apps import records
from marathon_compat.apps.app import HealthCheck
from marathon_compat.apps.event_diff import Teller
from marathon_compat.apps.events import Event, data
from marathon_compat.apps.records import Action, Callback, Edit
from tests.marathon.event_story import (
    AT,
    INSTANCE,
    T1,
    TASK,
    UNIT,
    UUID,
    V1,
    V2,
    Story,
    app,
    check,
    deployment,
    document,
    instance,
    kinds,
    over,
    running,
    state,
    stored,
    waiting,
)

STEP_0 = {"actions": [{"action": "StartApplication", "app": "/shop/web"}]}
STEP_1 = {"actions": [{"action": "ScaleApplication", "app": "/shop/web"}]}
PLAN = {"id": "d1", "version": V1, "steps": [STEP_0, STEP_1]}
D1 = ("docs", records.DEPLOYMENT, "d1")
I1 = ("docs", records.INSTANCE, UNIT)


def started(**fields: Any) -> Any:
    return document(records.DEPLOYMENT, "d1", deployment(**fields))


def test_a_posted_app_is_told_with_who_posted_it_and_what_begins() -> None:
    found = Story().tell(started(), stored(app()))
    assert kinds(found) == ["api_post_event", "group_change_success", "deployment_info"]
    assert found[0].at == AT
    body = dict(found[0].body)
    assert body.pop("appDefinition")["cmd"] == "sleep 1"
    assert body == {"clientIp": "192.0.2.1", "uri": "/v2/apps/shop/web"}
    assert found[1].body == {"groupId": "/shop", "version": V1}
    assert found[2].body == {"plan": PLAN, "currentStep": STEP_0}


def test_a_post_is_told_once_though_the_app_itself_is_written_later() -> None:
    story = Story()
    story.tell(stored(app())[0])
    assert "api_post_event" in kinds(story.tell(started()))
    assert story.tell(stored(app())[1]) == []


@pytest.mark.parametrize(
    "uri",
    [
        "/v2/groups/shop",
        "/v2/apps/shop/web/restart",
        "/v2/apps/shop/web/tasks",
        "/v2/deployments/x",
    ],
)
def test_only_a_request_that_defines_apps_is_a_post_of_apps(uri: str) -> None:
    assert "api_post_event" not in kinds(Story().tell(started(uri=uri), stored(app())))


def test_many_apps_in_one_request_are_told_one_by_one() -> None:
    other = replace(app(), id="/blog")
    both = Edit(after={"/blog": V1, "/shop/web": V1})
    found = Story().tell(started(uri="/v2/apps", edit=both), stored(app()), stored(other))
    told = [event.body["appDefinition"]["id"] for event in found if event.kind == "api_post_event"]
    assert told == ["/blog", "/shop/web"]


def test_a_post_that_changes_nothing_is_told_all_the_same() -> None:
    found = Story(stored(app())).tell(started(edit=Edit(), steps=()))
    assert kinds(found) == ["api_post_event"]


def test_pods_are_told_by_what_becomes_of_them() -> None:
    edit = Edit(before={"/a": "", "/b": V1, "/c": V1}, after={"/a": V2, "/b": V2, "/c": ""})
    found = Story().tell(started(uri="/v2/pods", edit=edit, steps=()))
    assert kinds(found) == [
        "pod_created_event",
        "pod_updated_event",
        "pod_deleted_event",
        "group_change_success",
    ]


def test_each_step_of_a_deployment_is_told_and_then_its_end() -> None:
    story = Story(started(), stored(app()))
    assert [(e.kind, e.body["currentStep"]) for e in story.tell(started(step=1))] == [
        ("deployment_step_success", STEP_0),
        ("deployment_info", STEP_1),
    ]
    done = document(records.HISTORY, "d1", over(deployment(step=1)))
    found = story.swap(D1, done)
    assert kinds(found) == ["deployment_step_success", "deployment_success"]
    assert found[1].body == {"id": "d1", "plan": PLAN}
    assert story.drop(("docs", records.HISTORY, "d1")) == []


def test_a_deployment_that_is_given_up_fails_in_its_step_with_the_reason() -> None:
    story = Story(started(), stored(app()))
    lost = over(deployment(), "cancelled", "overridden by a forced change")
    found = story.swap(D1, document(records.HISTORY, "d1", lost))
    assert kinds(found) == ["deployment_step_failure", "deployment_failed"]
    assert found[1].body["reason"] == "overridden by a forced change"


def test_a_step_may_be_missed_but_not_its_event() -> None:
    three = (*deployment().steps, (Action(kind="ScaleApplication", app="/blog"),))
    story = Story(started(steps=three), stored(app()))
    assert kinds(story.tell(started(steps=three, step=2))) == [
        "deployment_step_success",
        "deployment_info",
        "deployment_step_success",
        "deployment_info",
    ]


def test_a_task_is_told_from_waiting_to_running() -> None:
    story = Story(stored(app()))
    assert [(e.kind, e.body["condition"]) for e in story.tell(waiting())] == [
        ("instance_changed_event", "Scheduled")
    ]
    found = story.tell(running())
    assert found == [
        Event(
            "status_update_event",
            {
                "slaveId": "m1",
                "taskId": TASK,
                "taskStatus": "TASK_RUNNING",
                "message": "",
                "appId": "/shop/web",
                "host": "node1",
                "ipAddresses": [{"ipAddress": "10.0.0.1", "protocol": "IPv4"}],
                "ports": (31001,),
                "version": V1,
            },
            AT,
        ),
        Event(
            "instance_changed_event",
            {
                "instanceId": INSTANCE,
                "condition": "Running",
                "runSpecId": "/shop/web",
                "agentId": "m1",
                "host": "node1",
                "runSpecVersion": V1,
            },
            AT,
        ),
    ]


def test_what_changes_nothing_for_marathon_is_not_told() -> None:
    story = Story(stored(app()), running())
    assert story.tell(state(memory=5), machine("m2")) == []


def test_a_task_that_failed_is_told_with_what_systemd_says_and_its_next_run_has_a_new_id() -> None:
    story = Story(stored(app()), running())
    ended = story.tell(state("failed", result="exit-code", exit_code="exited", exit_status=3))
    assert ended[0].body["taskStatus"] == "TASK_FAILED"
    assert "status 3" in ended[0].body["message"]
    again = replace(story.world.units[UNIT], launch=2)
    staged = story.tell(again)
    assert (staged[0].body["taskStatus"], staged[0].body["taskId"]) == (
        "TASK_STAGING",
        f"{INSTANCE}._app.2",
    )


def test_a_kill_is_told_when_it_begins_and_when_it_is_done() -> None:
    story = Story(stored(app()), running())
    begun = story.swap(("units", UNIT), instance(leaving="scaled down"))
    assert begun[0].body["taskStatus"] == "TASK_KILLING"
    assert begun[0].body["taskId"] == TASK
    assert story.drop(("assigned", "m1", UNIT), ("states", "m1", UNIT)) == []
    done = story.drop(("placement", UNIT), I1)
    assert kinds(done) == ["status_update_event", "instance_changed_event"]
    assert done[0].body["taskStatus"] == "TASK_KILLED"
    assert done[0].body["host"] == "node1"


def test_the_end_of_a_run_is_not_told_twice() -> None:
    story = Story(stored(app()), running())
    story.tell(state("failed"))
    assert story.drop(I1, ("units", UNIT), ("placement", UNIT)) == []


def test_an_instance_that_never_was_on_a_machine_has_no_task_to_kill() -> None:
    story = Story(stored(app()), waiting())
    assert kinds(story.drop(I1, ("units", UNIT))) == ["instance_changed_event"]


def test_a_lost_machine_makes_its_tasks_unreachable_under_its_old_name() -> None:
    story = Story(stored(app()), running())
    found = story.drop(("machines", "m1"))
    assert [found[0].body[key] for key in ("taskStatus", "host", "slaveId", "ports")] == [
        "TASK_UNREACHABLE",
        "node1",
        "m1",
        (31001,),
    ]
    back = story.tell(machine("m1", host="node1", address="10.0.0.1"))
    assert back[0].body["taskStatus"] == "TASK_RUNNING"


def test_a_change_of_health_is_told_in_both_families() -> None:
    checked = app(health_checks=(HealthCheck(path="/ping"),))
    story = Story(stored(checked), running(checks=1, health=(check(None),)))
    well = story.tell(state(health=(check(True),)))
    assert [(e.kind, e.body.get("alive", e.body.get("healthy"))) for e in well] == [
        ("health_status_changed_event", True),
        ("instance_health_changed_event", True),
    ]
    ill = story.tell(state(health=(check(False, failures=1),)))
    assert kinds(ill) == [
        "failed_health_check_event",
        "health_status_changed_event",
        "instance_health_changed_event",
    ]
    assert ill[0].body["taskId"] == INSTANCE
    assert ill[0].body["healthCheck"]["path"] == "/ping"
    again = story.tell(state(health=(check(False, failures=2),)))
    assert kinds(again) == ["failed_health_check_event"]


def test_a_new_run_begins_without_the_health_of_the_last() -> None:
    story = Story(stored(app()), running(checks=1, health=(check(True),)))
    story.tell(replace(story.world.units[UNIT], launch=2))
    found = story.tell(state(launch=2, health=(check(True),)))
    assert "instance_health_changed_event" in kinds(found)


def test_a_kill_for_bad_health_is_told_as_one() -> None:
    story = Story(stored(app()), running())
    reason = "unhealthy: 3 checks failed in a row"
    found = story.swap(("units", UNIT), instance(leaving=reason))
    assert found[0].kind == "unhealthy_instance_kill_event"
    assert found[0].body == {
        "appId": "/shop/web",
        "taskId": TASK,
        "instanceId": INSTANCE,
        "version": V1,
        "reason": reason,
        "host": "node1",
        "slaveId": "m1",
    }


def test_health_checks_come_and_go_with_their_definition_not_with_a_scale() -> None:
    checked = app(health_checks=(HealthCheck(path="/ping"),))
    story = Story()
    added = story.tell(stored(checked))
    assert [(e.kind, e.body["version"]) for e in added] == [("add_health_check_event", V1)]
    assert story.tell(stored(replace(app(V2, V1), health_checks=checked.health_checks))) == []
    changed = story.tell(stored(app("2026-01-03T00:00:00.000Z")))
    assert [(e.kind, dict(e.body)) for e in changed] == [
        ("remove_health_check_event", {"appId": "/shop/web"})
    ]


def test_an_app_is_terminated_when_its_last_task_is_gone() -> None:
    story = Story(stored(app()), running())
    assert story.drop(("docs", records.APP, "/shop/web")) == []
    gone = story.drop(I1, ("units", UNIT), ("placement", UNIT), ("states", "m1", UNIT))
    assert kinds(gone) == [
        "status_update_event",
        "instance_changed_event",
        "app_terminated_event",
    ]


def test_an_app_without_tasks_is_terminated_at_once() -> None:
    story = Story(stored(app()))
    assert kinds(story.drop(("docs", records.APP, "/shop/web"))) == ["app_terminated_event"]


def test_a_unit_that_no_app_knows_any_more_is_told_when_it_ends() -> None:
    story = Story(state())
    found = story.tell(state("inactive"))
    assert [(e.kind, e.body["instanceId"]) for e in found] == [
        ("unknown_instance_terminated_event", INSTANCE)
    ]
    assert story.drop(("states", "m1", UNIT)) == []


def test_callbacks_are_told_when_they_come_and_go() -> None:
    url = "http://192.0.2.7/events"
    story = Story()
    added = story.tell(document(records.CALLBACK, url, Callback(client="192.0.2.1", since=AT)))
    gone = story.drop(("docs", records.CALLBACK, url))
    assert [(e.kind, e.body) for e in (*added, *gone)] == [
        ("subscribe_event", {"clientIp": "192.0.2.1", "callbackUrl": url}),
        ("unsubscribe_event", {"clientIp": "192.0.2.1", "callbackUrl": url}),
    ]


def test_units_that_are_none_of_marathons_are_not_told() -> None:
    assert Story().tell(Placement(unit="web.service", machine="m1")) == []


def test_who_begins_in_the_middle_goes_on_as_if_it_had_been_there_all_along() -> None:
    """What is told of a revision follows from the cluster, not from when somebody began to look."""
    first = Story(stored(app()))
    second = Teller()
    story = [
        waiting(),
        running(),
        (state(health=(check(True),)),),
        (instance(leaving="scaled down"),),
    ]
    for change in story:
        first.tell(*change)
        late = Teller()
        late.look(first.world, Touched(everything=True))
        assert late.tasks == first.teller.tasks
        assert late.checked == first.teller.checked
        second = late
    assert second.tasks[UNIT].condition == "Killing"


def test_an_event_is_json_on_one_line_with_its_type_and_time() -> None:
    event = Event("app_terminated_event", {"appId": "/a"}, AT)
    assert data(event, now=0.0) == (
        b'{"appId":"/a","eventType":"app_terminated_event","timestamp":"%s"}' % T1.encode()
    )
    assert b"\n" not in data(Event("x", {"message": "two\nlines"}), now=AT)


def test_a_plan_has_groups_for_old_clients_unless_it_is_to_be_light() -> None:
    event = Event("deployment_success", {"id": "d1", "plan": PLAN}, AT)
    full = json.loads(data(event, now=0.0))
    assert full["plan"] == {**PLAN, "original": {}, "target": {}}
    assert json.loads(data(event, now=0.0, light=True))["plan"] == PLAN


def test_no_event_ever_holds_a_null() -> None:
    story = Story(stored(app(health_checks=(HealthCheck(path="/ping"),))))
    told = [
        *story.tell(started()),
        *story.tell(running(checks=1, health=(check(None, failures=1),))),
        *story.drop(("machines", "m1")),
        *story.drop(I1, ("docs", records.APP, "/shop/web"), D1),
    ]
    assert len(told) > 8
    assert not any(b"null" in data(event, now=AT) for event in told)


def test_a_pods_containers_are_tasks_and_its_deployments_name_a_pod() -> None:
    pod = app(pod={"containers": [{"name": "web"}, {"name": "log"}]})
    steps = ((Action(kind="StartApplication", app="/shop/web", pod=True),),)
    story = Story(stored(pod))
    begun = story.tell(started(uri="/v2/pods/shop/web", steps=steps))
    assert kinds(begun) == ["pod_created_event", "group_change_success", "deployment_info"]
    assert begun[2].body["currentStep"] == {"actions": [{"action": "StartPod", "pod": "/shop/web"}]}
    found = story.tell(running(checks=1, health=(check(True),)))
    assert [event.body.get("taskId", event.kind) for event in found] == [
        f"{INSTANCE}.web.1",
        f"{INSTANCE}.log.1",
        "instance_changed_event",
        "instance_health_changed_event",
    ]


def test_the_uuid_of_an_instance_is_in_every_id_of_its_tasks() -> None:
    story = Story(stored(app()))
    assert UUID in story.tell(running())[0].body["taskId"]
