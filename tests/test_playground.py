"""The ticket playground: it computes what lthlab computes, and its page does what it says.

The numbers that it is compared with are computed here, by lthlab. No test has a network.
"""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from test_browser import complaints, open_page, serve, wait_until

from lthlab import build_model, evaluate, full_masks, prune, recipe_for, shuffle_masks, train
from lthlab.batches import Batches, example_order
from lthlab.levels import REDRAWN
from lthlab.masks import apply_masks_, prunable_weights
from lthlab.pruning import magnitude, random
from lthlab.training import training

sys.path.insert(0, str(Path(__file__).parent.parent / "docs"))

import build_playground

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("playground")]
NAME = "mlp-32-32"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The playground, built."""
    built = tmp_path_factory.mktemp("playground")
    build_playground.write(built)
    return built


@pytest.fixture(scope="module")
def core(browser, folder):
    """A page on which the parts that compute can be called as `core`; `data` are the signals."""
    page = open_page(browser)
    names = ", ".join(build_playground.exported(build_playground.COMPUTING))
    text = f"(() => {{ {build_playground.computing()}\nreturn {{ {names} }}; }})()"
    page.evaluate(f"() => {{ window.core = {text}; window.data = core.makeSignals(); }}")
    yield page
    assert page.complaints == []
    page.close()


@pytest.fixture
def open_playground(browser, folder):
    """Open the built page as a file from the disk, with a part behind its address."""
    pages = []

    def open_it(state="", **settings):
        page = browser.new_page(**{"viewport": {"width": 1300, "height": 1000}} | settings)
        page.complaints = []
        page.on("pageerror", lambda error: page.complaints.append(str(error)))
        pages.append(page)
        page.goto((folder / "playground.html").as_uri() + state)
        page.locator("[data-ready=yes]").wait_for()
        return page

    yield open_it
    for page in pages:
        assert page.complaints == []
        page.close()


def listed(tensors) -> list:
    """Tensors by name as lists of numbers, layer after layer."""
    return [tensor.detach().flatten().float().tolist() for tensor in tensors.values()]


def as_masks(lists, like) -> dict:
    return {
        name: torch.tensor(values, dtype=torch.bool).view_as(mask)
        for (name, mask), values in zip(like.items(), lists, strict=True)
    }


def same(one, other) -> bool:
    return all(torch.equal(one[name], other[name]) for name in other)


def sparse_start(dataset, seed=0, levels=6):
    """A network and masks as after some prunings: about 30 % of the weights."""
    model = build_model(NAME, dataset, seed=seed)
    masks, recipe = full_masks(model), recipe_for(NAME, dataset)
    for level in range(levels):
        masks = prune(random(model, seed=level), masks, recipe.rates(masks), recipe.scope)
    return model, masks


# What it computes.

ARRAYS = "arrays => arrays.map(array => Array.from(array))"
BEGIN = """({seed, masks, weights}) => {
    const typed = weights.map(layer => Float32Array.from(layer));
    window.training = new core.Training(data, "mlp-32-32", seed, masks, typed);
}"""


def test_the_signals_are_those_of_lthlab(core, mnist1d):
    for name in ("train", "validation", "test"):
        split = getattr(mnist1d, name)
        x = torch.tensor(core.evaluate(f"Array.from(data.{name}.x)"))
        assert (x - split.x.flatten()).abs().max() < 1e-6
        assert core.evaluate(f"Array.from(data.{name}.y)") == split.y.tolist()


@pytest.mark.parametrize("network", [NAME, "mlp-16-16"])
@pytest.mark.parametrize("seed", [0, 7, REDRAWN + 3])
def test_initial_values(core, mnist1d, network, seed):
    got = core.evaluate(f"({ARRAYS})(core.initialWeights('{network}', {seed}))")
    for values, weight in zip(
        got, prunable_weights(build_model(network, mnist1d, seed=seed)).values(), strict=True
    ):
        assert np.abs(np.array(values) - weight.detach().flatten().numpy()).max() < 1e-6


def test_redrawn_values_are_those_of_the_other_seed(core, mnist1d):
    got = core.evaluate(f"({ARRAYS})(core.redrawnWeights('{NAME}', 4))")
    again = build_model(NAME, mnist1d, seed=REDRAWN + 4)
    for values, weight in zip(got, listed(prunable_weights(again)), strict=True):
        assert values == pytest.approx(weight, abs=1e-6)


def test_only_signs(core, mnist1d):
    model = build_model(NAME, mnist1d, seed=2)
    got = core.evaluate(f"({ARRAYS})(core.onlySigns(core.initialWeights('{NAME}', 2)))")
    for values, weight in zip(got, prunable_weights(model).values(), strict=True):
        assert values == pytest.approx((weight.sign() * weight.std()).flatten().tolist(), abs=1e-6)


@pytest.mark.parametrize("seed, epoch", [(0, 0), (0, 19), (5, 3), (999, 1)])
def test_the_order_of_the_examples(core, mnist1d, seed, epoch):
    seeded = f"new core.Generator(core.seedFor({seed}, 'data order', {epoch}))"
    code = f"Array.from({seeded}.permutation(8000))"
    assert core.evaluate(code) == example_order(mnist1d, seed, epoch).tolist()


@pytest.mark.parametrize("network", [NAME, "mlp-16-16", "mlp-64-64"])
def test_the_same_weights_give_the_same_masks_at_every_level(core, mnist1d, network):
    model = build_model(network, mnist1d, seed=1)
    with torch.no_grad():  # rounded, so that many are equally large: the first of them goes first
        for weight in prunable_weights(model).values():
            weight.mul_(50).round_().div_(50)
    masks, recipe = full_masks(model), recipe_for(network, mnist1d)
    for _ in range(12):
        arguments = [listed(prunable_weights(model)), listed(masks), network]
        got = core.evaluate(
            f"([w, m, n]) => ({ARRAYS})(core.prune(w, m.map(x => Uint8Array.from(x)), n))",
            arguments,
        )
        masks = prune(magnitude(model), masks, recipe.rates(masks), recipe.scope)
        assert same(as_masks(got, masks), masks)


@pytest.mark.parametrize("seed", [0, 3])
def test_the_shuffled_masks(core, mnist1d, seed):
    _, masks = sparse_start(mnist1d, seed)
    got = core.evaluate(f"m => ({ARRAYS})(core.shuffleMasks(m, {seed}))", listed(masks))
    assert same(as_masks(got, masks), shuffle_masks(masks, seed))
    assert not same(masks, shuffle_masks(masks, seed))


@pytest.mark.parametrize("levels", [0, 6])
def test_the_gradients_of_one_step(core, mnist1d, levels):
    model, masks = sparse_start(mnist1d, levels=levels)
    arguments = {"seed": 0, "masks": listed(masks), "weights": listed(prunable_weights(model))}
    core.evaluate(BEGIN, arguments)
    loss, weights, biases = core.evaluate("""() => {
        const loss = training.differentiate(3);
        const weights = training.layers.map(l => Array.from(l.dense(l.weightGradient)));
        return [loss, weights, training.layers.map(l => Array.from(l.biasGradient))];
    }""")
    apply_masks_(model, masks)
    x, y = Batches(mnist1d, 100, seed=0)(3)
    expected = torch.nn.functional.cross_entropy(model(x), y)
    expected.backward()
    assert loss == pytest.approx(expected.item(), abs=1e-5)
    for layer, (name, mask) in enumerate(masks.items()):
        module = model.get_submodule(name.removesuffix(".weight"))
        gradient = torch.tensor(weights[layer]).view_as(mask)
        assert (gradient - module.weight.grad * mask).abs().max() < 1e-5
        assert (torch.tensor(biases[layer]) - module.bias.grad).abs().max() < 1e-5
        assert gradient.abs().max() > 1e-3


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("levels", [0, 6])
def test_the_losses_of_the_first_hundred_steps(core, mnist1d, levels, seed):
    """With its own signals, initial values and orders."""
    model, masks = sparse_start(mnist1d, seed, levels)
    core.evaluate(
        """([masks, network, seed]) => {
            const weights = core.initialWeights(network, seed);
            window.training = new core.Training(data, network, seed, masks, weights);
        }""",
        [listed(masks), NAME, seed],
    )
    losses = core.evaluate("Array.from({length: 100}, () => training.advance())")
    run = training(model, mnist1d, recipe_for(NAME, mnist1d), masks, seed=seed, stops=[100])
    expected = [float(loss) for loss in next(run).losses]
    run.close()
    assert losses == pytest.approx(expected, abs=1e-3)
    assert max(losses) - min(losses) > 0.5  # it learned
    weights = core.evaluate(f"({ARRAYS})(training.weights())")
    for name, values in zip(masks, weights, strict=True):
        ours = torch.tensor(values).view_as(masks[name])
        assert not ours[~masks[name]].any()
        assert (ours - prunable_weights(model)[name]).abs().max() < 5e-3


SEARCH = "options => lthlab.search(options)"


@pytest.fixture(scope="module")
def found(browser, folder):
    """What the search finds for five seeds down to 30 % of the weights."""
    page = open_page(browser)
    page.goto((folder / "playground.html").as_uri())
    rows = [page.evaluate(SEARCH, {"seed": seed, "levels": 6}) for seed in range(5)]
    yield rows
    page.close()


def test_the_search_gives_a_row_for_each_level(found):
    arms = ("dense", "ticket", "reinitialised", "shuffled")
    for rows in found:
        assert [row["level"] for row in rows] == list(range(7))
        assert all(row.keys() == {"level", "density", *arms} for row in rows)
        assert all(0.1 < row[arm] < 0.8 for row in rows for arm in arms)
        assert len({row["dense"] for row in rows}) == 1
    sizes = [round(2624 * row["density"]) for row in found[0]]
    assert sizes == [2624, 2131, 1733, 1412, 1153, 943, 773]


def test_the_ticket_matches_at_54_percent_and_beats_the_control_at_30(found):
    mean = {
        (level, arm): np.mean([rows[level][arm] for rows in found])
        for level in (3, 6)
        for arm in ("dense", "ticket", "reinitialised", "shuffled")
    }
    assert mean[3, "ticket"] > mean[3, "dense"] - 0.02
    assert mean[6, "ticket"] > mean[6, "reinitialised"] + 0.05
    assert mean[6, "ticket"] > mean[6, "shuffled"] + 0.05


def test_dense_networks_end_where_those_of_lthlab_end(found, mnist1d):
    """Whole trainings are chaotic, so their mean over five seeds is compared, not each."""
    expected = []
    for seed in range(5):
        model = build_model(NAME, mnist1d, seed=seed)
        train(model, mnist1d, recipe_for(NAME, mnist1d), seed=seed)
        expected.append(evaluate(model, mnist1d.test)["accuracy"])
    got = np.mean([rows[0]["dense"] for rows in found])
    assert got == pytest.approx(np.mean(expected), abs=0.015)


def test_the_search_is_the_same_every_time(found, open_playground):
    page = open_playground()
    again = page.evaluate(SEARCH, {"seed": 1, "levels": 2})
    assert again == found[1][:3]
    both = "Promise.all([1, 2].map(seed => lthlab.search({seed, levels: 1})))"
    assert page.evaluate(both) == [found[1][:2], found[2][:2]]


@pytest.mark.parametrize("options", ["{seed: -1}", "{levels: 1.5}", "{network: 'mlp-3'}"])
def test_the_search_says_what_it_does_not_take(open_playground, options):
    code = f"lthlab.search({options}).then(() => 'found', error => error.message)"
    assert re.search(r"-1|1\.5|mlp-3", open_playground().evaluate(code))


def test_sizes(folder):
    files = [*folder.iterdir()]
    assert sum(file.stat().st_size for file in files) < 60_000
    text = "".join(file.read_text() for file in files)
    assert not re.search(r"https?://", text), "nothing is fetched from elsewhere"


# What the page does.


def said(page) -> str:
    return page.locator(".said").inner_text()


def pictures(page) -> list[str]:
    """Both pictures, as they are once the next frame is drawn."""
    page.evaluate("() => new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))")
    return page.evaluate("[...document.querySelectorAll('canvas')].map(c => c.toDataURL())")


def press(page, name: str) -> None:
    page.get_by_role("button", name=name, exact=True).click()


def press_and_see(page, name: str, expected: str, drawn=True) -> str:
    """Press a button, wait for what the sentence must say, and see the network's picture change."""
    before, sentence = pictures(page), said(page)
    press(page, name)
    wait_until(lambda: re.search(expected, said(page)), 30)
    assert said(page) != sentence
    assert (pictures(page)[0] != before[0]) == drawn
    return said(page)


def wait_for_the_end(page) -> str:
    wait_until(lambda: "search is over" in said(page), 60)
    return said(page)


def look_at(page, level: int) -> str:
    page.locator("#tp-level").fill(str(level))
    return said(page)


def test_every_button_does_what_it_says(open_playground, found):
    page = open_playground("#seed=1")
    assert "2,624 weights" in said(page) and "Press Train" in said(page)
    press_and_see(page, "Prune 20 %", "Train it to the end first", drawn=False)
    press_and_see(page, "Step", "^Step 1: after 100 signals its loss .* was 2")
    press_and_see(page, "Step", "^Step 2")
    dense = press_and_see(page, "Train", "is trained")
    assert f"{100 * found[1][0]['dense']:.1f}\xa0%" in dense
    press_and_see(page, "Train", "trained to the end", drawn=False)
    press_and_see(page, "Prune 20 %", "2,131 of 2,624 weights are left")
    press_and_see(page, "Rewind", "2,131 weights, each back at the random value it began with")
    row, ticket = found[1][1], press_and_see(page, "Train", "^Level 1.*ticket names")
    assert f"ticket names {100 * row['ticket']:.1f}\xa0%" in ticket
    curves = pictures(page)[1]
    press_and_see(page, "Redraw the values", "^Redrawn")
    press_and_see(page, "Prune 20 %", "is not the ticket", drawn=False)
    control = press_and_see(page, "Train", "redrawn values (do|end)")
    assert row["ticket"] >= row["dense"] - 0.02  # so early the ticket matches, and its control too
    assert ("prune further" in control) == (abs(row["ticket"] - row["reinitialised"]) <= 0.02)
    assert pictures(page)[1] != curves
    press_and_see(page, "Permute the mask", "^Permuted")
    beside = "; the ticket .*Press Prune 20 % to go on from the ticket"
    press_and_see(page, "Train", f"in other places{beside}")
    press_and_see(page, "Keep only signs", "^Only signs")
    press_and_see(page, "Train", f"sign of each first value{beside}")
    cells = page.locator("tbody tr").nth(1).locator("td").all_inner_texts()
    assert cells[1:5] == [
        f"{100 * row[arm]:.1f}" for arm in ("dense", "ticket", "reinitialised", "shuffled")
    ]
    # A trained control steps aside for the ticket; what is known of levels stays.
    press_and_see(page, "Prune 20 %", "^Pruned")
    assert look_at(page, 1).startswith("Level 1")
    assert look_at(page, 2).startswith("The ticket of level 2, not trained yet")
    assert look_at(page, 0).startswith("Level 0")
    press_and_see(page, "Prune 20 %", "2,131 of 2,624 weights are left")
    assert page.locator("tbody tr").count() == 3
    press_and_see(page, "Another signal", "^Another test signal")
    press_and_see(page, "Start over", "all random")
    press_and_see(page, "Train", "is trained")
    press_and_see(page, "Redraw the values", "with other random values")
    both = press_and_see(page, "Train", "with redrawn values; with its first values it was")
    assert dense.split("names ")[1][:6] in both
    press_and_see(page, "Start over", "all random")
    assert page.locator("tbody tr").count() == 1


def test_pruned_and_trained_on_is_no_ticket(open_playground):
    page = open_playground()
    press_and_see(page, "Train", "is trained")
    press_and_see(page, "Prune 20 %", "^Pruned")
    press_and_see(page, "Train", "kept what the whole network had learned")
    assert page.locator("tbody tr").nth(1).locator("td").nth(2).inner_text() == ""


def test_pause_and_go_on(open_playground):
    page = open_playground("#speed=slow")
    press(page, "Train")
    wait_until(lambda: "Training" in said(page))
    # The button says that it is disabled, and answers those who press it all the same.
    page.get_by_role("button", name="Prune 20 %").click(force=True)
    wait_until(lambda: "A training is running" in said(page))
    press(page, "Pause")
    page.wait_for_timeout(200)
    still = pictures(page)
    page.wait_for_timeout(300)
    assert pictures(page) == still and said(page).startswith("Paused")
    page.get_by_label("Speed").select_option("fast")
    press_and_see(page, "Go on", "is trained")


def test_the_search_asks_for_a_guess_and_shows_it_beside_what_came(open_playground):
    page = open_playground()
    press(page, "Find a ticket for me")
    assert "guess first" in said(page)
    page.get_by_label("both about the same").check()
    press(page, "Find a ticket for me")
    races, sentences = set(), set()
    while "search is over" not in (sentence := said(page)):
        races.add(pictures(page)[1])
        sentences.add(sentence)
    assert len(races) > 10, "the race draws itself while they train"
    answer = page.locator(".answer").inner_text()
    assert answer.startswith("You guessed “both about the same”. It came out otherwise.")
    rows = page.evaluate(SEARCH, {"seed": 0, "levels": 10})
    level = rows[6]
    for arm in ("dense", "ticket", "reinitialised", "shuffled"):
        assert f"{100 * level[arm]:.1f}\xa0%" in answer
    assert ("no winning ticket any more" in answer) == (level["ticket"] < level["dense"] - 0.02)
    # At full speed nobody could read a sentence a level: only the first miss is told.
    assert sum(sentence.startswith("Level") for sentence in sentences) == 1
    # Each level again, by the slider: "winning" stands where the ticket matches, and only there.
    seen = set()
    for row in rows[1:]:
        sentence = look_at(page, row["level"])
        matches = row["ticket"] >= row["dense"] - 0.02
        assert ("winning" in sentence) == matches
        assert f"{100 * row['ticket']:.1f}\xa0%" in sentence
        seen.add(matches)
        assert f"level={row['level']}" in page.url
        page.locator(f".race canvas[aria-label*='level {row['level']}']").wait_for()
    assert seen == {True, False}
    assert len({(look_at(page, n), *pictures(page)) for n in range(11)}) == 11


def test_the_search_ends_at_the_smallest_ticket_that_matches(open_playground, found):
    page = open_playground("#seed=1")
    page.get_by_label("both about the same").check()
    press(page, "Find a ticket for me")
    wait_for_the_end(page)
    rows = page.evaluate(SEARCH, {"seed": 1, "levels": 10})
    smallest = max(r["level"] for r in rows[1:] if r["ticket"] >= r["dense"] - 0.02)
    assert f"(level {smallest})" in said(page) and f"level={smallest}" in page.url
    assert page.locator("#tp-level").input_value() == str(smallest)
    assert page.locator("tr.looked-at td").last.inner_text() == "yes"


PLACE = "button => button.getBoundingClientRect().top + scrollY"


def test_no_sentence_moves_a_button_away_from_a_finger(open_playground):
    page = open_playground("#speed=fast", viewport={"width": 390, "height": 844}, has_touch=True)
    train = page.get_by_role("button", name="Train", exact=True)
    places = {train.evaluate(PLACE)}
    buttons = "Find a ticket for me", "Train", "Permute the mask", "Prune 20 %", "Redraw the values"
    for name in (*buttons, "Another signal"):
        press(page, name)
        places.add(train.evaluate(PLACE))
        wait_until(lambda: "Training" not in said(page), 30)
        places.add(train.evaluate(PLACE))
    assert len(places) == 1


def test_what_a_paused_search_answers(open_playground):
    page = open_playground("#speed=slow")
    press(page, "Find a ticket for me")
    progress = page.locator(".progress")
    assert "choose an answer" in progress.inner_text(), "beside the button, where a phone shows it"
    press(page, "Find a ticket for me")
    wait_until(lambda: progress.inner_text().startswith("level"), 30)
    press(page, "Pause")
    assert said(page) == "Paused. Press Go on."
    press(page, "Step")
    assert "no single steps" in said(page)
    press(page, "Rewind")
    assert said(page).startswith("The search ends here. Rewound") and progress.inner_text() == ""
    press_and_see(page, "Step", "^Step 1")


def test_looking_back_while_the_search_goes_on(open_playground):
    page = open_playground("#speed=slow")
    page.get_by_label("Speed").select_option("fast")
    press(page, "Find a ticket for me")
    press(page, "Find a ticket for me")
    progress = page.locator(".progress")
    wait_until(lambda: progress.inner_text().startswith("level 4"), 30)
    press(page, "Pause")
    assert "Looking back. Level 1" in look_at(page, 1) and "paused: press Go on" in said(page)
    last = page.locator("#tp-level").get_attribute("max")
    assert "Where the search is now" in look_at(page, last)
    look_at(page, 2)
    press(page, "Go on")
    assert int(re.search(r"\(level (\d+)\)", wait_for_the_end(page))[1]) == int(
        page.locator("#tp-level").input_value()
    )
    press(page, "Find a ticket for me")
    wait_until(lambda: progress.inner_text().startswith("level 4"), 30)
    press(page, "Pause")
    look_at(page, 1)
    press_and_see(page, "Prune 20 %", "^The search ends here. Pruned")
    assert page.get_by_role("button", name="Go on").count() == 0


def test_the_address_holds_the_state(open_playground):
    page = open_playground("#seed=2&network=mlp-16-16&level=2&speed=slow")
    wait_until(lambda: said(page).startswith("Level 2"), 30)
    state = {"seed": "2", "network": "mlp-16-16", "speed": "slow"}
    for name, value in state.items():
        assert page.locator(f"[name={name}]").input_value() == value
    assert page.locator("#tp-level").input_value() == "2"
    for name, value in (state | {"level": "2"}).items():
        assert f"{name}={value}" in page.url
    page.get_by_label("Seed").fill("3")
    page.get_by_label("Seed").press("Enter")
    assert "seed=3" in page.url and "level=0" in page.url and "Seed 3" in said(page)
    page.evaluate("location.hash = '#seed=4&network=mlp-32-32&level=1&speed=fast'")
    wait_until(lambda: "level 1 of seed 4" in said(page) or "level=1" in page.url)
    wait_until(lambda: said(page).startswith("Level 1"), 30)
    assert page.locator("[name=network]").input_value() == NAME


def test_nonsense_in_the_address_and_in_the_seed_is_passed_over(open_playground):
    page = open_playground("#seed=-3&network=gpt&level=99&speed=warp")
    assert "Press Train" in said(page) and "seed=0" in page.url and NAME in page.url
    page.get_by_label("Seed").fill("1.5")
    page.get_by_label("Seed").press("Enter")
    assert "whole number" in said(page)
    assert page.get_by_label("Seed").input_value() == "0"


def test_with_the_keyboard_alone(open_playground):
    page = open_playground()

    def tab_to(name):
        for _ in range(30):
            page.keyboard.press("Tab")
            where = "document.activeElement.name || document.activeElement.textContent"
            if page.evaluate(f"{where} || document.activeElement.id") == name:
                outline = "getComputedStyle(document.activeElement).outlineStyle"
                assert page.evaluate(outline) not in ("none", "")
                return
        pytest.fail(f"{name} is not reached")

    tab_to("guess")
    page.keyboard.press("Space")
    page.keyboard.press("ArrowDown")
    assert page.locator("[name=guess]:checked").get_attribute("value") == "control"
    tab_to("Train")
    page.keyboard.press("Enter")
    wait_until(lambda: "is trained" in said(page))
    assert page.evaluate("document.activeElement.textContent") == "Train", "the focus stays"
    tab_to("Prune 20 %")
    page.keyboard.press("Space")
    assert said(page).startswith("Pruned")
    tab_to("tp-level")
    page.keyboard.press("ArrowLeft")
    assert said(page).startswith("Level 0")
    assert "0, 100.0" in page.locator("#tp-level").get_attribute("aria-valuetext")


def test_text_alternatives(open_playground):
    page = open_playground("#level=1")
    wait_until(lambda: said(page).startswith("Level 1"), 30)
    network, race = page.locator("canvas").all()
    assert "2,131 of 2,624 weights" in network.get_attribute("aria-label")
    for arm in ("whole network", "ticket", "redrawn", "permuted mask"):
        assert re.search(rf"{arm} \d\d\.\d", race.get_attribute("aria-label"))
    assert page.locator(".said").get_attribute("aria-live") == "polite"
    unnamed = "[...document.querySelectorAll('input, select')].filter(i => !i.labels.length)"
    assert page.evaluate(f"{unnamed}.length") == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1300])
def test_nothing_is_wider_than_the_window(open_playground, width, scheme):
    page = open_playground(viewport={"width": width, "height": 844}, color_scheme=scheme)
    sizes = "[document.documentElement.scrollWidth, innerWidth]"
    scroll, inner = page.evaluate(sizes)
    assert scroll <= inner
    for _ in range(2):
        press(page, "Find a ticket for me")
    wait_for_the_end(page)
    scroll, inner = page.evaluate(sizes)
    assert scroll <= inner
    for box in [b.bounding_box() for b in page.locator("button").all()]:
        assert box["height"] >= 32, "a finger can press it"


def luminance(color: str) -> float:
    digits = color.lstrip("#")
    digits = "".join(2 * digit for digit in digits) if len(digits) == 3 else digits
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_stand_out_from_the_page(open_playground, scheme):
    page = open_playground(color_scheme=scheme)
    style = "getComputedStyle(document.getElementById('ticket-playground'))"

    def contrast(name, ground="paper"):
        pair = [page.evaluate(f"{style}.getPropertyValue('--{n}').trim()") for n in (name, ground)]
        low, high = sorted(map(luminance, pair))
        return (high + 0.05) / (low + 0.05)

    assert (
        contrast("ink") > 7 and contrast("ink", "soft") > 7 and contrast("on-accent", "accent") > 6
    )
    for name in ("positive", "negative", "ticket", "dense", "reinitialised", "edge"):
        assert contrast(name) > 3
    dark = page.evaluate(f"{style}.backgroundColor") == "rgb(19, 20, 22)"
    assert dark == (scheme == "dark")
    before = pictures(page)
    page.emulate_media(color_scheme="light" if scheme == "dark" else "dark")
    assert pictures(page)[0] != before[0], "the pictures change with the page"


@pytest.mark.parametrize("motion", ["no-preference", "reduce"])
def test_with_reduced_motion_only_ends_are_drawn(open_playground, motion):
    page = open_playground("#speed=slow", reduced_motion=motion)
    press(page, "Train")
    wait_until(lambda: "Training" in said(page))
    begun = pictures(page)
    if motion == "reduce":
        page.wait_for_timeout(1000)
        assert pictures(page) == begun
    else:
        wait_until(lambda: pictures(page)[0] != begun[0], 30)
    assert "is trained" not in said(page)
    page.get_by_label("Speed").select_option("fast")
    wait_until(lambda: "is trained" in said(page), 30)
    ended = pictures(page)
    assert ended[0] != begun[0] and ended[1] != begun[1]


FAULTS = {
    "too old": ("delete WebAssembly.Module", "did not start"),
    "blocked": ("window.Worker = class { constructor() { throw Error('blocked'); } }", "blocked"),
    "breaks": (
        """window.Worker = class {
            postMessage() { setTimeout(() => this.onerror({message: "out of memory"})); }
        }""",
        "did not work: out of memory",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_an_error_stands_in_place(browser, folder, fault):
    script, expected = FAULTS[fault]
    page = browser.new_page()
    page.add_init_script(script)
    page.goto((folder / "playground.html").as_uri())
    wait_until(lambda: expected in page.locator("#ticket-playground").inner_text())
    page.close()


def test_it_opens_from_a_server_too(browser, folder, tmp_path):
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    command = ["http.server", "{port}", "--bind", "127.0.0.1"]
    server = serve(command, tmp_path, "/playground.html")
    page = open_page(browser)
    page.goto(next(server) + "/playground.html")
    page.locator("[data-ready=yes]").wait_for()
    press_and_see(page, "Train", "is trained")
    assert complaints(page) == []
    page.close()
    server.close()
