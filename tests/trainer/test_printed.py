"""What the code at hand says that it prints: its statements, and what the lines that they print measure."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.trainer.reading import read, texts, told
from trainer.detect import Detector
from trainer.printed import Printed, printed_by, printed_of
from trainer.statements import Statement, statements

LOOP = """
    for epoch in range(epochs):
        for i, batch in enumerate(loader):
            {}
"""


@pytest.mark.parametrize(
    ("statement", "described"),
    [
        ('print(f"{epoch} {i} {loss.item():.3f}")', "{epoch} {batch} {loss}"),
        ('print("[%d, %5d] %.3f" % (epoch + 1, i + 1, running_loss / 100))', "[{epoch}, {batch}] {loss}"),
        ('print("{}:\\t{:.9f}".format(i, reduced_loss))', "{batch}:\t{loss}"),
        ('print("{1} {0:.2f}".format(loss, epoch))', "{epoch} {loss}"),
        ('print("{e} of {n}: {x:.2f}".format(e=epoch, n=epochs, x=loss))', "{epoch} of {epochs}: {loss}"),
        ('print("%(a).3f" % {"a": val_loss})', "{val_loss}"),
        ('print("E: %04d in %04d Step C %.6f" % (epoch + 1, i + 1, loss))', "E: {epoch} in {batch} Step C {c}"),
        ('print("it", i, "/", len(loader), "gives", float(loss))', "it {batch} / {batches} gives {gives}"),
        ('print(i, loss.item(), sep="\\t")', "{batch}\t{loss}"),
        ('print(str(epoch) + " " + str(losses.avg))', "{epoch} {losses}"),
        ('log.info("e %d m %.4f", epoch, meters["loss"].avg)', "e {epoch} m {m}"),
        ('bar.set_description("L %.3f" % loss)', "L {l}"),
        ('msg = "L %.3f" % loss; log_string(msg)', "L {l}"),
        ('s = f"E {epoch}"; s += f" L {loss:.2f}"; print(s)', "E {epoch} L {l}"),
        ('print("got {:.1%}".format(accuracy))', "got {got}%"),
        ('print(f"{epoch * len(loader) + i} {loss}")', "{step} {loss}"),
        ('print(f"{100 * i / len(loader)} {epoch} {loss}")', "{} {epoch} {loss}"),
        ('print(f"{{{epoch}}} {loss}")', "{{{epoch}}} {loss}"),
        ('print("%s %d %*.*f" % (name, epoch, 8, 3, loss))', "{} {epoch} {loss}"),
        ('print(*names, f"L {loss}")', "{} L {l}"),
        ('print("\\n== %d\\nL %.2f" % (epoch, loss))', "L {l}"),
        ('print("\\t".join(["E: [%d/%d]" % (epoch, epochs), "L %.3f" % loss]))', "E: [{epoch}/{epochs}]\tL {l}"),
        ('log.info(", ".join(["it: {i}", "L: {loss:.4f}"]).format(i=i, loss=loss))', "it: {batch}, L: {l}"),
        (
            'print("%d: reward: %.2f, mean_100: %.2f" % (i, r, mean_rewards))',
            "{batch}: reward: {reward}, mean_100: {rewards}",
        ),
        ('print("E %d, Score: %.2f" % (epoch, full_episode_scores[-1]))', "E {epoch}, Score: {score}"),
        ('print("E %d, loss %.2f, steps %.1f" % (epoch, loss, num_steps))', "E {epoch}, loss {loss}, steps {}"),
        ("print(f\"E {epoch} (best) {logs['a (b)']:.1f} loss {loss}\")", "E {epoch} (best) {} loss {loss}"),
        ('print("%WER {WER:.2f}, {n} tokens".format(**stats))', "%WER {wer}, {} tokens"),
    ],
)
def test_a_statement_is_a_line_as_a_team_would_describe_it(statement: str, described: str) -> None:
    assert described in texts(LOOP.format(statement))


@pytest.mark.parametrize(
    "code",
    [
        'print("epoch", epoch)',
        'print("took", time.time() - start)',
        'print(f"lr={lr}")',
        'path = f"model_{loss:.3f}.pt"',
        'torch.save(net, os.path.join(out, "loss%.2f" % loss))',
        'print("Error:", error)',
        'print("Maximum micro F1: %f, std: %.3f" % (best, np.std(losses)))',
        'print(f"rank {rank} of {world}")',
        "for i in range(n):\n    log.info('Label {}: {:.3f}, {:.3f}'.format(i, p, f1))",
        'plt.plot(loss, label="loss/%d" % n)',
        "print(loss",
        "print 'loss', loss",
        "x = " + "(" * 4_000,
        "\0",
    ],
)
def test_what_measures_nothing_and_what_is_no_code_says_nothing(code: str) -> None:
    assert texts(code) == []


@pytest.mark.filterwarnings("error")
def test_what_python_would_warn_of_in_their_code_is_not_said() -> None:
    assert texts("pattern = '\\d'\nprint('L', loss)") == ["L {l}"]


def test_a_string_that_grows_and_grows_is_not_kept() -> None:
    assert texts("s = 'L '\n" + "s = s + s\n" * 60 + "print(s, loss)") == ["{} {loss}"]


@pytest.mark.parametrize(
    ("statement", "described"),
    [
        ('Logger(f"Epoch:[{epoch + 1}/{n}]({i}/{n}), ce: {ce:.4f}")', "Epoch:[{epoch}/{}]({batch}/{}), ce: {ce}"),
        ('log_print("Epoch [%d/%d], M: %.5f" % (epoch, epochs, loss), log)', "Epoch [{epoch}/{epochs}], M: {m}"),
        ('print0(f"step {i:05d}/{n:05d} | L: {loss:.6f} | dt: {dt:.2f}ms")', "step {batch}/{} | L: {l} | dt: {}ms"),
        ('bar(f"Loss: {loss:.3f} | Acc: {acc:.3f}% ({correct}/{n})")', "Loss: {loss} | Acc: {acc}% ({}/{})"),
    ],
    ids=["minimind", "StyleTTS2", "nanochat", "mixup-cifar10"],
)
def test_what_a_function_of_their_own_is_given_is_a_line(statement: str, described: str) -> None:
    assert described in texts(LOOP.format(statement))


@pytest.mark.parametrize(
    "statement",
    [
        'save(f"{out}/epoch {epoch} loss {loss:.2f}.pt")',
        'save(f"the results/{loss:.2f} of {epoch}")',
        'save(f"run {epoch}_{loss:.3f}")',
    ],
)
def test_a_file_whose_name_has_spaces_is_no_line(statement: str) -> None:
    assert texts(LOOP.format(statement)) == []


def test_a_statement_knows_where_it_stands() -> None:
    (one,) = statements("def validate(net):\n    print('L', loss.item())")
    assert one == Statement("L {l}", begins=True, ends=True, part="val", printed=frozenset({"l"}))
    (open_one,) = statements("print('L %.3f' % loss, end='')")
    assert (open_one.begins, open_one.ends) == (True, False)
    (logged,) = statements("logger.info('L %.3f', loss)")
    assert (logged.begins, logged.ends) == (False, False)


def test_lines_without_a_name_are_read_by_the_code_that_prints_them() -> None:
    code = "for it in range(40):\n    print('{}:\\t{:.9f}'.format(it, reduced_loss))"
    assert read(code, "0:\t2.250000000", "1:\t2.125000000") == [(0, {"loss": 2.25}), (1, {"loss": 2.125})]


def test_a_line_behind_a_bar_is_read() -> None:
    code = (
        "for epoch in tqdm(range(1, n + 1)):\n print('[%s (%d %d%%) %.4f]' % (since(t), epoch, epoch / n * 100, loss))"
    )
    line = "  2%|▎         | 3/120 [00:00<00:05, 21.62it/s][0m 0s (5 4%) 4.2522]"
    (found,) = [one for one in told([line], Printed([code])) if one]
    assert found.values == {"loss": 4.2522}


def test_a_line_that_is_printed_in_pieces_is_one() -> None:
    code = "for e in range(9):\n print('E', e, end=' ')\n print('train', loss, end=', ')\n print('dev', dev_loss)"
    assert read(code, "E 3 train 0.5, dev 0.75") == [(3, {"train_loss": 0.5, "dev_loss": 0.75})]
    by_loop = "print('E', end=' ')\nfor a in accs:\n print('A', a, end=' ')\nprint('L', loss)"
    assert "E L {l}" not in texts(by_loop)


EPOCHS_BAR = """
bar = tqdm(range(150))
for epoch in bar:
    bar.set_description("Epoch %d | loss: %.2f" % (epoch, loss))
"""
BATCHES_BAR = """
for epoch in range(1, EPOCHS + 1):
    bar = tqdm(loader)
    for x in bar:
        bar.set_description(desc="[%d/%d] G: %.2f; Reg loss: %.2f" % (epoch, EPOCHS, g_loss, reg_loss))
"""


@pytest.mark.parametrize(
    ("code", "line", "step", "values"),
    [
        (EPOCHS_BAR, "Epoch 3 | loss: 0.50:   2%|▏         | 3/150 [00:00<00:26,  5.54it/s]", 3, {"loss": 0.5}),
        (
            BATCHES_BAR,
            "[2/6] G: 0.25; Reg loss: 0.50:  25%|██▌       | 1/4 [00:02<00:07,  2.38s/it]",
            5,
            {"g": 0.25, "reg_loss": 0.5},
        ),
    ],
)
def test_what_a_bar_is_called_is_read_by_its_code(code: str, line: str, step: int, values: Mapping[str, float]) -> None:
    assert read(code, line) == [(step, values)]


@pytest.mark.parametrize(
    ("statement", "line", "values"),
    [
        (
            "print(f'step {step}: Top 1-err {a:.2f} L {loss:.2f}')",
            "step 7: Top 1-err 75.00 L 0.50",
            {"top_1_err": 75.0, "l": 0.5},
        ),
        ("print(f'step {step}: G {g_loss:.2f} loss {l:.2f}')", "step 7: G 0.25 loss 0.50", {"g": 0.25, "loss": 0.5}),
        ("print(f'step {step}: ended with loss {l:.2f}')", "step 7: ended with loss 0.50", {"loss": 0.5}),
        ("print(f'step {step}: loss {l.val:.2f} ({l.avg:.2f})')", "step 7: loss 0.50 (0.75)", {"loss": 0.5}),
        (  # ML-From-Scratch
            "print('%d [D loss: %f, acc: %f%%] [G loss: %f, acc: %f%%]' % (step, d_loss, d_acc, g_loss, g_acc))",
            "7 [D loss: 0.5, acc: 25.0%] [G loss: 1.5, acc: 75.0%]",
            {"d_loss": 0.5, "acc": 25.0, "g_loss": 1.5, "g_acc": 75.0},
        ),
        (  # NCRF++
            "print('step %d acc: %.4f, p: %.4f, r: %.4f, f: %.4f' % (step, acc, p, r, f))",
            "step 7 acc: 0.5000, p: 0.2500, r: 0.7500, f: 0.6250",
            {"acc": 0.5, "p": 0.25, "r": 0.75, "f": 0.625},
        ),
        (
            "print(f'step {step}: PSNR: {p:.1f} dB SSIM: {s:.2f}')",
            "step 7: PSNR: 13.5 dB SSIM: 0.29",
            {"psnr": 13.5, "ssim": 0.29},
        ),
    ],
)
def test_what_a_line_prints_under_a_name_that_nobody_knows_is_read_by_its_code(
    statement: str, line: str, values: Mapping[str, float]
) -> None:
    assert read(f"for step in loader:\n    {statement}", line) == [(7, values)]


def test_what_has_a_unit_is_no_measurement() -> None:
    assert texts("print('cost %.2f s' % cost)") == []


def test_a_spread_is_no_measurement() -> None:
    assert texts("print('Rank 1 = {:.3%} +- {:.2%}'.format(np.mean(acc), np.std(acc)))") == [
        "Rank 1 = {rank_1}% +- {}%"
    ]


def test_what_takes_time_and_says_so_is_read_by_its_code() -> None:
    printed = (
        "log.info('Batch: {}-{}, L = {:.3f}, batch_time = {:.3f}'.format(epoch, i, loss.item(), took))"  # MedicalNet
    )
    assert read(LOOP.format(printed), "Batch: 0-3, L = 0.500, batch_time = 1.250") == [(3, {"l": 0.5})]


def test_a_name_may_begin_with_a_digit() -> None:
    code = "def validate_sintel(net):\n    print('EPE: %f, 1px: %f, 3px: %f' % (epe, px1, px3))"  # RAFT
    assert read(code, "EPE: 1.5, 1px: 0.25, 3px: 0.5") == [
        (None, {"val_epe": 1.5, "val_1px": 0.25, "val_3px": 0.5}),
    ]


def test_what_an_evaluation_formats_is_a_measurement_whatever_it_is_called() -> None:
    assert read("def validate_chairs(net):\n    print('Chairs EPE: %f' % epe)", "Chairs EPE: 8.25") == [
        (None, {"val_chairs_epe": 8.25})
    ]
    assert texts("def build(net):\n    print('Chairs EPE: %f' % epe)") == []


def test_what_a_function_evaluates_is_of_that_part() -> None:
    code = "def test(net):\n    print('Average', acc)\n\ndef train(net):\n    print('M', loss)"
    assert read(code, "Average 0.25", "M 1.5") == [(None, {"test_acc": 0.25}), (None, {"m": 1.5})]


def test_a_value_that_is_printed_as_a_tensor_is_one() -> None:
    code = "for epoch in range(3):\n    print(epoch, loss)"
    assert read(code, "0 tensor(0.5000, grad_fn=<NllLossBackward0>)") == [(0, {"loss": 0.5})]


@pytest.mark.parametrize(
    "line",
    [
        "0 0.5 0.25",  # something behind
        "a 0 0.5",  # something before
        "-1 0.5",
        "0.5 0.5",
        "x" * 1_100,
        "9" * 40 + " 0.5",
    ],
)
def test_another_line_is_left_alone(line: str) -> None:
    assert Printed(["for epoch in range(3):\n    print(epoch, loss)"]).read(line) is None


def test_one_number_alone_is_read_where_nothing_else_is_printed_so() -> None:
    assert read("print(loss.item())", "0.5", "7") == [(None, {"loss": 0.5})]
    assert read("print(loss.item())\nprint(acc)", "0.5") == []


@pytest.mark.parametrize(
    "line",
    ["Namespace(a=1, loss=0.5, debug=True)", "Best loss: 0.5"],
)
def test_settings_and_records_stay_what_they_are(line: str) -> None:
    assert Detector(printed=Printed(["print(f'loss={loss}')", "print('Best loss:', loss)"])).feed(line) is None


def test_what_a_line_names_itself_is_believed_before_its_code() -> None:
    code = "for epoch in range(3):\n    print(f'step {step}: loss {x:.2f} acc {y:.2f}')"
    assert read(code, "step 7: loss 0.50 acc 0.25") == [(7, {"loss": 0.5, "acc": 0.25})]


def test_the_code_of_a_folder_is_read_and_what_is_no_code_of_the_run_is_not(tmp_path: Path) -> None:
    statement = "for epoch in range(3):\n    print(epoch, '{}', loss)"
    for path in ("train.py", "lib/deep/er.py", "venv/x.py", ".hidden/x.py", "notes.txt"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(statement.format(Path(path).stem))
    (tmp_path / "huge.py").write_text(statement.format("huge") + "#" * 500_000)
    (tmp_path / "bytes.py").write_bytes(b"\xff\xfe" + statement.format("bytes").encode())
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "gone.py").symlink_to(tmp_path / "nowhere")
    printed = printed_by(tmp_path)
    assert printed.read("1 train 0.5") is not None
    assert printed.read("1 er 0.5") is not None
    assert all(printed.read(f"1 {stem} 0.5") is None for stem in ("x", "notes", "huge"))
    assert not printed_by(tmp_path / "nowhere")


# ---------------------------------------------------------------- what code may do to us


def test_what_is_no_ordinary_file_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.py")
    (tmp_path / "zero.py").symlink_to("/dev/zero")
    (tmp_path / "bom.py").write_text("\ufefffor epoch in range(3):\n    print(epoch, 'bom', loss)")
    assert printed_by(tmp_path).read("1 bom 0.5") is not None


@pytest.mark.parametrize("odd", ["print('{'.format(x))", "x = " + "+".join(["a"] * 2_000)], ids=["format", "deep"])
def test_one_odd_expression_costs_no_other_statement(odd: str) -> None:
    assert texts(f"print('L', loss)\n{odd}\nprint('M', loss)")[0] == "L {l}"


def test_a_long_string_is_no_line() -> None:
    assert texts("s = '" + "a " * 5_000 + "'\nprint(s, loss)") == ["{} {loss}"]


@pytest.mark.parametrize(
    "code",
    [
        "print(epoch, loss.item())\nprint(epoch, sched.get_last_lr()[0])",
        "print(i, loss.item())\nprint(i, val_loss.item())",
        "print(loss.item())\nprint(time.time() - start)",
    ],
)
def test_lines_without_a_word_are_not_read_where_several_statements_print_such(code: str) -> None:
    assert read(code, "0 0.25", "0.25") == []


def test_what_two_statements_print_alike_is_of_neither_part() -> None:
    code = "def validate():\n    print(f'M {m.acc:.2f}')\ndef train():\n    print(f'M {m.acc:.2f}')"
    assert read(code, "M 0.25") == [(None, {"m": 0.25})]
    totals = [f"for epoch in range({n}):\n    print(f'Epoch {{epoch}}: loss {{loss:.2f}}')" for n in (5, 90)]
    (found,) = [one for one in told(["Epoch 1: loss 0.50"], Printed(totals)) if one]
    assert found.total is None


@pytest.mark.parametrize(
    ("code", "line"),
    [
        ("print(f'{metric} is {acc:.3f}')", "Learning rate is 0.001"),
        ("log.info(f'loss {loss:.3f}')", "initial thing with its loss at 3.500"),
        ("log.info(f'loss {loss:.3f}')", "The initial loss 3.500"),
        ("print(epoch, math.exp(loss))", "0 20.5"),
        ("print('%d %.2f %.2f' % (epoch, *times, loss))", "0 12.50 0.50"),
        ("print(f'{it} {name}: {loss:.2f}')", "10 files left: 0.50"),
        ("p.add_argument('--a', help=f'by which M {loss:.2f}')", "by which M 0.50"),
    ],
)
def test_what_only_looks_like_a_statement_is_not_told(code: str, line: str) -> None:
    assert read(code, line) == []


def test_what_trains_is_no_evaluation_whatever_else_it_does() -> None:
    assert read("def train_and_evaluate():\n    print('M', loss)", "M 0.5") == [(None, {"m": 0.5})]


def test_how_many_labels_of_those_that_were_chosen_are_right_is_measured() -> None:
    code = """
        print('Epoch [%d/%d] Loss1: %.4f, Pure Ratio1: %.4f, Pure Ratio2 %.4f' % (
            epoch + 1, args.n_epoch, loss_1.item(), np.sum(pure_ratio_1_list) / len(pure_ratio_1_list), pure_2))
    """
    expected = {"loss1": 0.078, "pure_ratio1": 49.6667, "pure_ratio2": 49.3333}  # Co-teaching, and JoCoR after it
    assert read(code, "Epoch [2/12] Loss1: 0.0780, Pure Ratio1: 49.6667, Pure Ratio2 49.3333") == [(2, expected)]


def test_the_present_value_is_called_alike_with_its_code_and_without() -> None:
    code = """
        print('Epoch {0} | Iter {1} | Average Loss {2:.3f} | Current Loss {3:.6f} | {4:.1f} ms/batch'.format(
            epoch + 1, i + 1, total_loss / (i + 1), loss.item(), 1000 * (time.time() - start) / (i + 1)))
    """
    line = "Epoch 1 | Iter 6 | Average Loss 3.418 | Current Loss 3.461322 | 14.7 ms/batch"
    assert read(code, line) == [(6, {"loss": 3.461322})]  # kaituoxu/Conv-TasNet


def test_code_that_cannot_be_read_prints_nothing_that_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "train.py").write_text("for epoch in range(9):\n    print(f'{epoch} bom {loss}')")
    said: list[str] = []
    assert printed_of("python train.py", tmp_path, said.append)
    assert said == []
    monkeypatch.setattr("trainer.printed.statements", lambda _: 1 / 0)
    assert not printed_of("python train.py", tmp_path, said.append)
    assert said == ["The code was not read beside what it prints: ZeroDivisionError."]
