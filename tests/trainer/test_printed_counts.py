"""Which loop of the code at hand a printed count is of, how far it goes, and so where the run stands."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.trainer.reading import read, texts, told
from trainer.printed import Printed
from trainer.statements import statements


def test_a_loop_over_a_range_is_that_whatever_numbers_it() -> None:
    over = "for _, epoch in enumerate(bar):\n    print('Epoch', epoch, '/', 170, 'L', loss)"
    (one,) = statements(f"bar = tqdm(range(170))\n{over}")
    assert (one.text, one.totals) == ("Epoch {epoch} / {} L {l}", {"epochs": 170})


def test_a_string_counts_by_the_loops_around_it() -> None:
    assert texts("for it in range(1000):\n print(it, loss.item())") == ["{step} {loss}"]
    assert texts("def train(epoch):\n for i, x in enumerate(tqdm(loader)):\n  print(i, loss.item())") == [
        "{batch} {loss}"
    ]
    of_pieces = "for epoch in range(9):\n for part in parts:\n  for step in range(n // 4):\n   print(epoch, step, loss)"
    assert texts(of_pieces) == ["{} {batch} {loss}"]
    of_phases = (
        'for epoch in range(9):\n for p in ["train", "val"]:\n  for i, x in enumerate(d[p]):\n   print(epoch, i, loss)'
    )
    assert texts(of_phases) == ["{epoch} {batch} {loss}"]
    length = "steps = len(train_loader)\nprint(f'{epoch} {steps} L {loss}')"
    assert texts(length) == ["{epoch} {batches} L {l}"]


@pytest.mark.parametrize(
    ("code", "line", "total"),
    [
        ("for epoch in range(20):\n    print('Epoch', epoch, 'L', loss)", "Epoch 3 L 0.5", 20),
        ("EPOCHS = 19\nfor e in range(1, EPOCHS + 1):\n    print(f'{e}: {loss:.2f}')", "3: 0.50", 19),
        ("n = 20\nfor it in range(n):\n    print(f'step {it}: loss {x:.2f}')", "step 5: loss 0.50", 20),
        ("n = 20\nn = args.n\nfor it in range(n):\n    print(f'step {it}: loss {x:.2f}')", "step 5: loss 0.50", None),
        ("n = 2\nn += 9\nfor it in range(n):\n    print(f'step {it}: loss {x:.2f}')", "step 5: loss 0.50", None),
        ("for it in range(0, 50, 5):\n    print(f'step {it}: loss {x:.2f}')", "step 5: loss 0.50", None),
        ("for it in range(4):\n    print(f'step {it}: loss {x:.2f}')", "step 5: loss 0.50", None),  # of another loop
    ],
)
def test_how_often_a_loop_runs_is_known_where_the_code_says_it(code: str, line: str, total: int | None) -> None:
    (found,) = [one for one in told([line], Printed([code])) if one]
    assert found.total == total


def test_a_count_that_the_code_begins_anew_goes_on() -> None:
    printed = "print(f'Step {step} of {p} loss {loss:.2f}')"
    code = f"for e in range(3):\n for p in pieces:\n  for step in range(2):\n   {printed}"
    lines = [f"Step {step} of {piece} loss 0.{step}1" for piece in "ab" for step in range(2)]
    assert [step for step, _ in read(code, *lines)] == [0, 1, 2, 3]


@pytest.mark.parametrize(("set_back", "step"), [("", 10), ("\n    cur_itrs = 0", 160)])
def test_a_count_that_no_loop_sets_back_is_of_the_whole_run(set_back: str, step: int) -> None:
    printed = "print('Epoch %d, Itrs %d/%d, Loss=%f' % (cur_epochs, cur_itrs, opts.total_itrs, loss))"
    batches = f"    for x in loader:\n        cur_itrs += 1\n        {printed}"
    code = f"cur_itrs = 0\nwhile True:{set_back}\n    cur_epochs += 1\n{batches}"
    assert read(code, "Epoch 2, Itrs 10/150, Loss=3.350235") == [(step, {"loss": 3.350235})]


@pytest.mark.parametrize(
    ("added", "described"), [("", "E {epoch}/{epochs} at {steps} L {l}"), ("+= 1", "E {epoch}/{epochs} at {} L {l}")]
)
def test_what_is_added_to_is_no_total(added: str, described: str) -> None:
    counts = f"def step():\n    self.total_steps {added}"
    printed = "print(f'E {epoch}/{epochs} at {self.total_steps} L {loss:.2f}')"
    assert texts(f"{counts}\nfor epoch in range(epochs):\n    {printed}") == [described]


def test_a_loop_around_whole_runs_counts_no_steps() -> None:
    printed = "print(f'Run: {run:02d}, Epoch: {epoch:02d}, Train: {acc:.2f}')"
    code = f"for run in range(9):\n for epoch in range(99):\n  {printed}"
    assert [step for step, _ in read(code, "Run: 03, Epoch: 07, Train: 0.25")] == [7]


def test_where_a_run_starts_is_no_count() -> None:
    code = (
        "def train(epochs, start_epoch):\n for epoch in range(start_epoch, epochs):\n"
        "  for i, x in enumerate(loader):\n   print(epoch, i, loss.item())"
    )
    lines = [f"{epoch} {i} 0.5" for epoch in range(2) for i in range(3)]
    assert [step for step, _ in read(code, *lines)] == [0, 1, 2, 3, 4, 5]


def test_a_count_of_a_function_that_is_called_for_each_epoch_is_of_that() -> None:
    printed = "print('Epoch [{}/{}], Step [{}/{}], Loss: {:.2f}'.format(epoch, epochs, step, len(loader), loss))"
    loop = f"    for x in loader:\n        step += 1\n        {printed}"
    code = f"def train_one_epoch(model, loader, epoch):\n    step = 0\n{loop}"
    assert [step for step, _ in read(code, "Epoch [2/5], Step [100/250], Loss: 0.50")] == [350]


@pytest.mark.parametrize(
    ("code", "lines"),
    [
        ("for i, iou in enumerate(ious):\n    print(f'class {i}: IoU {iou:.2f}')", ["class 3: IoU 0.50"]),
        ("for fold in range(5):\n    print(f'Fold {fold} accuracy: {acc:.2f}')", ["Fold 3 accuracy: 0.50"]),
        ("def test():\n    for c in range(9):\n        print(f'C {c} recall: {r:.2f}')", ["C 3 recall: 0.50"]),
    ],
)
def test_what_is_counted_beside_the_training_is_no_step_of_it(code: str, lines: Sequence[str]) -> None:
    assert [step for step, _ in read(code, *lines)] in ([None], [])


@pytest.mark.parametrize(
    "code",
    [
        "EPOCHS = args.epochs\nif args.debug:\n    EPOCHS = 2\nfor epoch in range(EPOCHS):\n    {}",
        "epochs = 3\ndef fit(model, epochs):\n    for epoch in range(epochs):\n        {}",
        "for epoch in range(5, 20):\n    {}",
        "for epoch in range(9999999999999999):\n    {}",
    ],
)
def test_a_total_that_is_not_the_loops_is_not_told(code: str) -> None:
    (found,) = [
        one
        for one in told(["Epoch 1: loss 0.50"], Printed([code.format("print(f'Epoch {epoch}: loss {l:.2f}')")]))
        if one
    ]
    assert (found.total, found.values) == (None, {"loss": 0.5})


EPISODES = """
    for {} in range(MAX):
        total, steps = 0, 0
        steps = 0
        while True:
            steps += 1
            total += reward
            if done:
                {}
                break
        {}
"""


@pytest.mark.parametrize("place", [0, 1], ids=["before its break", "behind its loop"])
@pytest.mark.parametrize("counter", ["epi", "ep", "i_episode"])
def test_an_episodes_length_is_not_where_the_run_stands(counter: str, place: int) -> None:
    statement = f"print('Ep: ', {counter}, '| Ep_r: ', total, '| Steps: ', steps)"
    code = EPISODES.format(counter, *((statement, "pass") if place == 0 else ("pass", statement)))
    lines = [f"Ep:  {n} | Ep_r:  {n}.5 | Steps:  {steps}" for n, steps in enumerate((17, 29, 8))]
    assert read(code, *lines) == [(0, {"ep_r": 0.5}), (1, {"ep_r": 1.5}), (2, {"ep_r": 2.5})]  # Popular-RL-Algorithms


def test_the_counter_of_a_loop_that_has_ended_is_none_of_the_run() -> None:
    loops = "for epoch in range(9):\n    for i, b in enumerate(loader):\n        step += 1\n"
    code = f"{loops}    print(epoch, i, loss)\n    print('S', step, 'L', loss)"
    assert texts(code) == ["{epoch} {} {loss}", "S {step} L {l}"]


def test_a_loop_within_that_has_the_counters_name_takes_none_of_its_count() -> None:
    code = """
        for epoch in range(args.epoch):
            for i, data in enumerate(train_data):
                for i in range(5):
                    writer.add_image(str(i) + '/img', imgs[i], step)
                print('epoch:{} {}/{} loss_l1:{:.4e}'.format(epoch, i, args.step_per_epoch, info['loss_l1']))
    """
    lines = ["epoch:0 11/13 loss_l1:1.5404e-02", "epoch:0 12/13 loss_l1:1.4676e-02", "epoch:1 1/13 loss_l1:1.3804e-02"]
    assert [step for step, _ in read(code, *lines)] == [11, 12, 14]  # ECCV2022-RIFE


def test_a_count_within_a_name_is_no_count_of_the_run() -> None:
    code = """
        for epochId in range(280):
            for batch in loader:
                print('Iter: {}'.format(num_iter))
                for loss_idx in range(len(total_losses) // 2):
                    print('stage{}_pafs_loss:     {}'.format(loss_idx + 1, total_losses[loss_idx * 2 + 1] / log_after))
    """
    lines = ["Iter: 30", "stage1_pafs_loss:     320.0394287109375", "stage2_pafs_loss:     247.1295623779297"]
    expected = [(30, {"stage1_pafs_loss": 320.0394287109375}), (30, {"stage2_pafs_loss": 247.1295623779297})]
    assert read(code, *lines) == expected  # lightweight-human-pose-estimation.pytorch


def test_a_count_of_so_many_stays_though_another_happens_to_be_as_high() -> None:
    code = """
        for e in range(EPISODES):
            for time in range(500):
                if time % 10 == 0:
                    print("episode: {}/{}, time: {}, loss: {:.4f}".format(e, EPISODES, time, loss))
    """
    lines = [f"episode: {e}/40, time: {time}, loss: 0.7058" for e, time in ((9, 440), (9, 450), (10, 0), (10, 10))]
    assert [step for step, _ in read(code, *lines)] == [9, 9, 10, 10]  # keon/deep-q-learning
