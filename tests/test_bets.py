"""Bets: a guess is kept when there is one, and its answer shown beside it."""

import json
import re

import pytest
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output

from lthlab.widgets import bets

ARMS = ["dense", "ticket", "reinitialised"]


@pytest.fixture(autouse=True)
def in_an_empty_folder_of_a_notebook(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    InteractiveShell.instance()  # what is displayed goes through it
    yield
    InteractiveShell.clear_instance()


def shown(call, *arguments) -> str:
    """What a call displays, without tags; the text alternative stands for a picture."""
    with capture_output() as captured:
        call(*arguments)
    parts = (o.data.get("text/html") or o.data["text/plain"] for o in captured.outputs)
    return " ".join(re.sub("<[^>]+>", "", part) for part in parts)


def kept(name):
    return json.loads(bets.FILE.read_text())[name]


def test_pick_keeps_the_choice_and_how_sure():
    form = bets.pick("t-pick", "Best will be", ARMS)
    choice, sure = form.controls
    sure.value = 0.9
    assert not bets.FILE.exists()  # sure of nothing yet
    choice.value = "ticket"
    assert kept("t-pick") == {"guess": "ticket", "sure": 0.9}
    assert "Your bet: ticket. You were right." in shown(bets.reveal, "t-pick", "ticket")
    assert kept("t-pick")["right"] is True
    answer = shown(bets.reveal, "t-pick", "dense")
    assert "The answer: dense. Your bet: ticket. Not so." in answer


def test_order_needs_each_option_once():
    form = bets.order("t-order", "Best first", ARMS)
    *places, _sure = form.controls
    for place, arm in zip(places, ["dense", "dense", "ticket"], strict=True):
        place.value = arm
    assert not bets.FILE.exists()
    places[1].value = "reinitialised"
    assert kept("t-order")["guess"] == ["dense", "reinitialised", "ticket"]
    assert "Not so." in shown(bets.reveal, "t-order", ARMS)
    assert "right" in shown(bets.reveal, "t-order", ["dense", "reinitialised", "ticket"])


@pytest.mark.parametrize("answer, right", [(60, True), (70.2, True), (80, True), (80.1, False)])
def test_a_range_holds_its_ends(answer, right):
    form = bets.number("t-number", "Accuracy in percent", 0, 100)
    form.controls[0].value = (60, 80)
    shown(bets.reveal, "t-number", answer)
    assert kept("t-number") == {"guess": [60, 80], "sure": 0.8, "right": right}


def test_curve_is_laid_over_what_came_out():
    form = bets.curve("t-curve", "Accuracy", [1, 0.5, 0.1], 0, 100, "weights kept", "accuracy")
    assert shown(bets.reveal, "t-curve", [90, 80, 20]).endswith("You made no bet.")
    form.controls[2].value = 30
    assert kept("t-curve") == {"guess": [50, 50, 30]}
    said = shown(bets.reveal, "t-curve", [90, 80, 20])
    assert "90 at 1, 80 at 0.5, 20 at 0.1, with your bet beside it" in said


def test_nobody_has_to_bet():
    bets.pick("t-none", "Best will be", ARMS)
    assert "The answer: dense. You made no bet." in shown(bets.reveal, "t-none", "dense")
    assert not bets.FILE.exists()
    assert "no bets" in shown(bets.calibration)


def test_question_stands_on_a_page_without_a_kernel():
    form = bets.pick("t-page", "Is <b> small?", ["yes", "no"])
    text = form._repr_mimebundle_()["text/html"]
    assert "Is &lt;b&gt; small?" in text and "(a) yes; (b) no?" in text


def test_wrong_names_and_answers_are_said():
    bets.pick("t-known", "Best will be", ARMS)
    with pytest.raises(ValueError, match="Nobody was asked 't-unknown' yet"):
        bets.reveal("t-unknown", 3)
    with pytest.raises(ValueError, match="must be of .*'ticket'.*; got 'tickets'"):
        bets.reveal("t-known", "tickets")


@pytest.mark.parametrize(
    "right, verdict",
    [(20, "You know more than you think"), (10, "agrees"), (2, "surer than you were right")],
)
def test_calibration_compares_sureness_with_success(right, verdict):
    """Of 20 bets at 50 %: Wilson's intervals are 84-100, 30-70 and 3-30 percent."""
    table = {str(n): {"guess": "a", "sure": 0.5, "right": n < right} for n in range(20)}
    bets.FILE.write_text(json.dumps(table | {"open": {"guess": "a", "sure": 1}}))
    said = shown(bets.calibration)
    assert f"20 bets, {right} right: {right / 20:.0%}" in said and verdict in said
    ends = {20: "84% to 100%", 10: "30% to 70%", 2: "3% to 30%"}[right]
    assert ends in said and "You were 50% sure" in said


def test_a_damaged_file_costs_the_guesses_and_nothing_else():
    bets.FILE.write_text("{")
    form = bets.pick("t-damaged", "Best will be", ARMS)
    form.controls[0].value = "dense"
    assert kept("t-damaged")["guess"] == "dense"


@pytest.mark.parametrize("held", ["[]", "3", '{"t-odd": 4}', '{"t-odd": {"sure": 1}}', "{"])
def test_a_file_of_guesses_of_another_shape_holds_no_guesses(held):
    bets.FILE.write_text(held)
    bets.pick("t-odd", "Which", ARMS)
    assert "no bet" in shown(bets.reveal, "t-odd", "ticket")
    assert "no bets" in shown(bets.calibration)


def test_a_guess_of_another_form_is_none():
    bets.pick("t-form", "Which", ARMS).controls[0].value = "ticket"
    bets.number("t-form", "How much", 0, 1)
    assert "You made no bet" in shown(bets.reveal, "t-form", 0.5)


def test_a_guess_without_a_share_is_not_counted():
    bets.FILE.write_text('{"t-one": {"guess": "ticket", "right": true}}')
    assert "no bets" in shown(bets.calibration)
