"""How people write the same things, and what is read of it."""

# ruff: noqa: E501  lines are as long as trainers print them

from __future__ import annotations

import pytest

from tests.trainer.reading import fed

# Nobody's format in particular: how people write the same things, and what is read of it.
OTHER_HANDS: dict[str, tuple[int | None, dict[str, float]]] = {
    "loss is 0.35": (None, {"loss": 0.35}),
    "[Epoch 1] Gen. loss: 0.032  Critic loss: 0.241": (1, {"gen_loss": 0.032, "critic_loss": 0.241}),  # numpy-ml
    "Epoch 3/9, Disc. Loss: 0.5, Gen. Loss: 0.4": (3, {"disc_loss": 0.5, "gen_loss": 0.4}),
    "[100] Exploitability AVG 0.43782562": (100, {"exploitability": 0.43782562}),  # open_spiel
    "Iteration 10 exploitability 0.45": (10, {"exploitability": 0.45}),
    "step 3 reward mean 12.5 std 3.4": (3, {"reward": 12.5}),
    'json_stats: {"epoch": 1, "loss": 2.4, "mean_rank": 13.4, "map_rank": 0.3}': (  # poincare-embeddings
        1,
        {"loss": 2.4, "rank": 13.4, "map_rank": 0.3},
    ),
    "Epoch 1 - Learning Rate: 0.005 - Rec loss: 92.16 - NELBO: 92.21": (
        1,
        {"learning_rate": 0.005, "rec_loss": 92.16, "nelbo": 92.21},
    ),
    "Learning iteration 3/10, Mean surrogate loss: -0.25": (3, {"surrogate_loss": -0.25}),
    "Iteration 7: the loss: 0.5": (7, {"loss": 0.5}),
    "2026-11-29 14:30:18,378 [INFO] 5, train_loss=1.62, test_loss=1.14, LR=0.002778, time 3.89s": (
        5,
        {"train_loss": 1.62, "test_loss": 1.14, "lr": 0.002778},
    ),
    "Epoch: [2/20]\t Seen Samples: [192/2400]\tTrain Loss: 110.66\tTime: 0:00:00.04": (2, {"train_loss": 110.66}),
    "step 10 | loss  2.72 | ppl    15.26": (10, {"loss": 2.72, "ppl": 15.26}),
    "loss -> 0.35": (None, {"loss": 0.35}),
    "Loss (train): 0.35": (None, {"train_loss": 0.35}),
    "MSE(val): 0.3": (None, {"val_mse": 0.3}),
    '{"epoch": 3, "metrics": {"loss": 0.3}}': (3, {"loss": 0.3}),
    "step 3 OrderedDict([('loss', 0.3), ('acc', 0.9)])": (3, {"loss": 0.3, "acc": 0.9}),
    "step 3 {'loss': tensor(0.3000, device='cuda:0'), 'acc': 0.9}": (3, {"loss": 0.3, "acc": 0.9}),
    "{'loss': np.float32(0.3), 'step': 4}": (4, {"loss": 0.3}),
    "Episode: 30, Return: 12.0": (30, {"return": 12.0}),
    "Episode 30/100 | total reward: 12.0 | epsilon: 0.5": (30, {"total_reward": 12.0}),
    "Round 5/10: logloss 0.35": (5, {"logloss": 0.35}),
    "epoch 3 | ce 0.35 | bce: 0.2": (3, {"ce": 0.35, "bce": 0.2}),
    "epoch 3, objective = 0.35": (3, {"objective": 0.35}),
    "epoch 3 ndcg@10: 0.35, recall@20: 0.2, mrr: 0.3": (3, {"ndcg@10": 0.35, "recall@20": 0.2, "mrr": 0.3}),
    "Epoch: 0004 loss_train: 1.9 acc_train: 0.3 loss_val: 1.8": (
        4,
        {"loss_train": 1.9, "acc_train": 0.3, "loss_val": 1.8},
    ),
    "[D loss: 0.3, acc.: 50%] [G loss: 0.4]": (None, {"d_loss": 0.3, "acc": 50.0, "g_loss": 0.4}),
    "epoch 3 train: loss 0.35 | valid: loss 0.45": (3, {"train_loss": 0.35, "val_loss": 0.45}),
    "it 300 loss 0.35": (300, {"loss": 0.35}),
    "Training average negative_sample_loss at step 100: 2.6": (100, {"train_negative_sample_loss": 2.6}),
    "Train loss 25 2.478 Grad Norm 3.768 0.28s/it": (25, {"train_loss": 2.478, "grad_norm": 3.768}),
    "Validation loss 25:  1.234357": (25, {"val_loss": 1.234357}),
    "EPOCH[1/61] loss0.686-|Sample:0.01|": (1, {"loss": 0.686}),
    "Instance: 500; Time: 0.76s; loss: 4164.1585; acc: 2046/3748=0.5459": (500, {"loss": 4164.1585, "acc": 0.5459}),
    "| Eval   1 at step    200 | time:  3.8s | valid loss  1.40 | bpc   2.019": (
        200,
        {"val_loss": 1.4, "val_bpc": 2.019},
    ),
    "step 3: accuracy train: 0.5 test: 0.25": (3, {"accuracy_train": 0.5, "accuracy_test": 0.25}),
    "step 3: grad_acc: 1, loss: 0.5": (3, {"loss": 0.5}),
    "| End of training | test loss  4.12 | test ppl    61.76": (None, {"test_loss": 4.12, "test_ppl": 61.76}),
    "Episode: 2, total numsteps: 78, episode steps: 50, reward: -35.11": (78, {"reward": -35.11}),
    "train stats after 64 examples: {'loss/train': '0.68825'}": (64, {"loss_train": 0.68825}),
    "Step 5/90, Mel Loss: 2.8161, Mel PostNet Loss: 2.8756": (5, {"mel_loss": 2.8161, "mel_postnet_loss": 2.8756}),
    "[2026-11-29 23:17:24,197 INFO train.py line 339 20306] Train result at epoch [1/4]: mIoU/mAcc/allAcc 0.1/0.2/0.3.": (
        1,
        {"train_miou": 0.1, "train_macc": 0.2, "train_allacc": 0.3},
    ),
    "test rse 0.3102 | test rae 0.2805": (None, {"test_rse": 0.3102, "test_rae": 0.2805}),
    "Eval Epoch: 1 [64 / 640]\tClip Loss: 0.597": (None, {"eval_clip_loss": 0.597}),
    "Total T: 101 Episode Num: 2 Episode T: 90 Reward: -35.016": (101, {"reward": -35.016}),
    "T = 500 / 10000 | Avg. reward: -17.8": (500, {"reward": -17.8}),
    "Itr 60: Inception Score is 4.901 +/- 0.110, FID is 108.9796": (60, {"inception_score": 4.901, "fid": 108.9796}),
    "2/60 (  1.67%) (TE/ETA: 0:00 / 0:18) itr: 62, G_loss : +1.106, D_loss_real : +0.088 ": (
        62,
        {"g_loss": 1.106, "d_loss_real": 0.088},
    ),
    "[ITER 200] Evaluating train: L1 0.0264 PSNR 29.55": (200, {"train_l1": 0.0264, "train_psnr": 29.55}),
    "Accuracy of the network on the 10000 test images: 54 %": (None, {"test_accuracy": 54.0}),
    '{"results": {"fid50k_full": 213.2}, "num_gpus": 1}': (None, {"fid50k_full": 213.2}),
    "Acc:0.53, Acc_class:0.06, mIoU:0.04, fwIoU: 0.3": (
        None,
        {"acc": 0.53, "acc_class": 0.06, "miou": 0.04, "fwiou": 0.3},
    ),
    "5/10 [=====>.....] loss 0.35": (5, {"loss": 0.35}),
    " 30%|###  | 3/10 [00:00<00:01, 5.0it/s, loss: 0.35]": (3, {"loss": 0.35}),
    " 30%|###  | 3/10 [00:00<00:01, 5.0it/s] loss=.35": (3, {"loss": 0.35}),
    # As frameworks and well-known repositories print them.
    "[11/02 10:00:00 d2.utils.events]:  eta: 0:10:00  iter: 19  total_loss: 1.2  loss_cls: 0.5  loss_box_reg: 0.1  time: 0.5  data_time: 0.01  lr: 0.0003  max_mem: 2345M": (
        19,
        {"total_loss": 1.2, "loss_cls": 0.5, "loss_box_reg": 0.1, "lr": 0.0003},
    ),
    "2021-01-01 10:00:00,000 - mmdet - INFO - Epoch [2][50/7330]\tlr: 2.000e-03, eta: 1 day, 0:01:02, time: 0.5, data_time: 0.05, memory: 3000, loss_rpn_cls: 0.5, acc: 90.1, loss: 2.1": (
        7380,
        {"lr": 0.002, "loss_rpn_cls": 0.5, "acc": 90.1, "loss": 2.1},
    ),
    "[2022/01/01 10:00:00] ppocr INFO: epoch: [1/100], global_step: 10, lr: 0.001000, acc: 0.000000, loss: 5.300000, avg_reader_cost: 0.1 s, avg_batch_cost: 0.2 s, avg_samples: 8, ips: 123.0 samples/s, eta: 1:00:00": (
        10,
        {"lr": 0.001, "acc": 0.0, "loss": 5.3},
    ),
    "INFO:root:Epoch[0] Batch [100]\tSpeed: 123.45 samples/sec\taccuracy=0.5": (100, {"accuracy": 0.5}),
    "INFO:root:Epoch[0] Train-accuracy=0.512": (0, {"train_accuracy": 0.512}),
    "INFO:root:Epoch[0] Validation-accuracy=0.61": (0, {"val_accuracy": 0.61}),
    "I1102 10:00:00.123456  1234 solver.cpp:218] Iteration 100 (50 iter/s, 2s/100 iters), loss = 0.5": (
        100,
        {"loss": 0.5},
    ),
    "I1102 10:00:00.123456  1234 solver.cpp:397]     Test net output #0: accuracy = 0.9": (
        None,
        {"test_accuracy": 0.9},
    ),
    "I1102 10:00:00.123456  1234 sgd_solver.cpp:105] Iteration 100, lr = 0.01": (100, {"lr": 0.01}),
    "epoch: 1 step: 100, loss is 2.3012": (100, {"loss": 2.3012}),
    "INFO:tensorflow:loss = 0.5, step = 100 (0.5 sec)": (100, {"loss": 0.5}),
    "INFO:tensorflow:Saving dict for global step 100: accuracy = 0.5, global_step = 100, loss = 0.3": (
        100,
        {"accuracy": 0.5, "loss": 0.3},
    ),
    " samples/sec: 1.000 | iteration      100/  1000 | elapsed time per iteration (ms): 12.3 | learning rate: 1.0E-04 | approx flops per GPU: 1.2TFLOPS | lm_loss: 5.1E+00 | number of skipped iterations: 0 |": (
        100,
        {"learning_rate": 0.0001, "lm_loss": 5.1},
    ),
    "step   10/100 | loss 4.512345 (+nanz)| norm 1.2345 (+nanz)| lr 6.00e-04 | 123.45 ms | 12.1% bf16 MFU | 123456 tok/s": (
        10,
        {"loss": 4.512345, "lr": 0.0006},
    ),
    "iter_dt 12.00ms; iter 5: train loss 1.09861": (5, {"train_loss": 1.09861}),
    "Iter 10: Train loss 2.123, Learning Rate 1.000e-05, It/sec 1.234, Tokens/sec 100.1, Trained Tokens 1000, Peak mem 3.123 GB": (
        10,
        {"train_loss": 2.123, "learning_rate": 1e-05},
    ),
    "Iter 1: Val loss 2.812, Val took 1.234s": (1, {"val_loss": 2.812}),
    "train_opt_callback: iter=    10 sample=11/20 sched=0.100000 loss=5.312345 dt=00:00:01 eta=00:01:00 |->": (
        10,
        {"loss": 5.312345},
    ),
    "Epoch: [0/100]  [  10/1251]  eta: 1:00:00  loss: 11.09 (11.09)  lr: 0.000000 (0.000000)  wd: 0.04 (0.04)  time: 0.5  data: 0.1  max mem: 1234": (
        10,
        {"loss": 11.09, "lr": 0.0},
    ),
    "(epoch: 1, iters: 100, time: 0.123, data: 0.234) D_A: 0.312 G_A: 0.412 cycle_A: 1.212 idt_A: 0.5": (
        100,
        {"d_a": 0.312, "g_a": 0.412, "cycle_a": 1.212, "idt_a": 0.5},
    ),
    "[Epoch 0/200] [Batch 10/938] [D loss: 0.693147] [G loss: 0.712345]": (
        10,
        {"d_loss": 0.693147, "g_loss": 0.712345},
    ),
    "[Epoch 1/200] [Batch 10/938] [D loss: 0.693147, acc: 50%] [G loss: 0.712345]": (
        10,
        {"d_loss": 0.693147, "acc": 50.0, "g_loss": 0.712345},
    ),
    "[1/25][10/1583] Loss_D: 1.2000 Loss_G: 5.3000 D(x): 0.6000 D(G(z)): 0.4000 / 0.0100": (
        10,
        {"loss_d": 1.2, "loss_g": 5.3},
    ),
    "====> Epoch: 1 Average loss: 166.1234": (1, {"loss": 166.1234}),
    "| epoch   1 |   200/ 2983 batches | lr 20.00 | ms/batch 12.34 | loss  7.63 | ppl  2059.12": (
        200,
        {"lr": 20.0, "loss": 7.63, "ppl": 2059.12},
    ),
    "| end of epoch   1 | time: 12.34s | valid loss  5.91 | valid ppl   364.12": (
        1,
        {"val_loss": 5.91, "val_ppl": 364.12},
    ),
    "===> Epoch[1](3/50): Loss: 0.3123": (3, {"loss": 0.3123}),
    "===> Epoch 1 Complete: Avg. Loss: 0.0312": (1, {"loss": 0.0312}),
    "Episode 10\tLast reward: 20.00\tAverage reward: 12.31": (10, {"reward": 20.0}),
    "Epoch 00001 | Loss 1.9123 | Accuracy 0.3123 | ETputs(KTEPS) 123.1": (1, {"loss": 1.9123, "accuracy": 0.3123}),
    "Epoch: 010, Loss: 0.5123, Train: 0.9012, Val: 0.7012, Test: 0.7112": (
        10,
        {"loss": 0.5123, "train": 0.9012, "val": 0.7012, "test": 0.7112},
    ),
    "Run: 01, Epoch: 10, Loss: 0.5123, Train: 50.12%, Valid: 48.21% Test: 49.01%": (
        10,
        {"loss": 0.5123, "train": 50.12, "val": 48.21, "test": 49.01},
    ),
    "| epoch 001:    100 / 1000 loss=9.123, nll_loss=8.9, ppl=560.1, wps=1234, ups=1.2, wpb=1024, bsz=32, num_updates=100, lr=1e-4, gnorm=1.2": (
        100,
        {"loss": 9.123, "nll_loss": 8.9, "ppl": 560.1, "lr": 0.0001, "gnorm": 1.2},
    ),
    "2020-11-02 10:00:00 | INFO | train_inner | epoch 002:    100 / 1000 loss=9.123, ppl=560.12, wps=1234, ups=1.2, wpb=1024, bsz=32, num_updates=1100, lr=1e-4, gnorm=1.2, train_wall=10, wall=20": (
        1100,
        {"loss": 9.123, "ppl": 560.12, "lr": 0.0001, "gnorm": 1.2},
    ),
    "[host] 2021-11-02 10:00:00,123 (trainer:653) INFO: 1epoch:train:1-50batch: iter_time=0.1, forward_time=0.2, loss_att=50.1, acc=0.12, loss=60.2, lr=1e-4, train_time=1.2": (
        50,
        {"loss_att": 50.1, "acc": 0.12, "loss": 60.2, "lr": 0.0001},
    ),
    "1epoch results: [train] iter_time=0.1, loss=50.1, acc=0.2, time=1 minute; [valid] loss=40.1, acc=0.3, cer=0.5, time=2 seconds": (
        1,
        {"train_loss": 50.1, "train_acc": 0.2, "val_loss": 40.1, "val_acc": 0.3, "val_cer": 0.5},
    ),
    "2021-11-02 10:00:00,123 INFO [train.py:812] Epoch 0, batch 50, loss[loss=1.234, simple_loss=0.312, pruned_loss=7.1, over 1234.00 frames.], tot_loss[loss=1.301, simple_loss=0.32, over 12345.00 frames.], batch size: 23, lr: 1.00e-03": (
        50,
        {"loss": 1.234, "simple_loss": 0.312, "pruned_loss": 7.1, "lr": 0.001},
    ),
    "DEBUG TRAIN Batch 0/100 loss 12.312345 loss_att 10.212345 loss_ctc 20.1 lr 0.00010000 rank 0": (
        100,
        {"loss": 12.312345, "loss_att": 10.212345, "loss_ctc": 20.1, "lr": 0.0001},
    ),
    "Steps : 10, Gen Loss Total : 95.123, Mel-Spec. Error : 1.912, s/b : 2.123": (
        10,
        {"gen_loss_total": 95.123, "mel_spec_error": 1.912},
    ),
    "Last test reward: 1.00. Training step: 10/100. Played games: 3. Loss: 3.45": (
        10,
        {"test_reward": 1.0, "loss": 3.45},
    ),
    "[Learner] Loss = 0.512 | Steps = 10 | Walltime = 1.2": (10, {"loss": 0.512}),
    "iter=0 terr=0.91234 serr=1.00000 act=123 obj=456.12345 diff=1.00000": (
        0,
        {"terr": 0.91234, "serr": 1.0, "obj": 456.12345},
    ),
    "  [   1] obj=1234.50     act=12       err= 5.50%/50.00% time=0.01s/0.01s": (None, {"obj": 1234.5, "err": 5.5}),
    "Epoch: 10.0%  lr: 0.009000  loss: 0.021234  eta: <1min   tot: 0h0m1s": (None, {"lr": 0.009, "loss": 0.021234}),
    "[10 | 12.34] loss=2.34 avg=2.31": (10, {"loss": 2.34}),
    "| Adam | epoch: 001 | loss: 0.51234 - acc: 0.5012 -- iter: 0640/1000": (640, {"loss": 0.51234, "acc": 0.5012}),
    "Epoch 1/3 Iteration 100/1000 Loss 0.5123 Prec@1 50.123 (49.12) Prec@5 80.12 (79.1)": (
        100,
        {"loss": 0.5123, "prec@1": 50.123, "prec@5": 80.12},
    ),
    # caogang/wgan-gp, and who else plots with igul222's tflib
    "iter 99\ttmp/mnist/time\t0.0714\ttmp/mnist/train disc cost\t1.03\ttmp/mnist/wasserstein distance\t1.13"
    "\ttmp/mnist/dev disc cost\t-3.17": (
        99,
        {"train_disc_cost": 1.03, "dev_disc_cost": -3.17},
    ),
    # wolny/pytorch-3dunet
    "2026-11-30 16:35:41,900 [MainThread] INFO UNetTrainer - Validation finished. Loss: 1.37. Evaluation score: 0.74": (
        None,
        {"val_loss": 1.37, "val_eval_score": 0.74},
    ),
    # facebookresearch/pycls
    '[meters.py: 260]: json_stats: {"_type": "test_ema_epoch", "epoch": "1/5", "top1_err": 96.8, "top5_err": 57.8}': (
        None,
        {"test_ema_top1_err": 96.8, "test_ema_top5_err": 57.8},
    ),
    # HobbitLong/CMC; BT and DT are times
    "Train: [1][3/8]\tBT 1.183 (1.619)\tDT 0.121 (0.230)\tloss 15.702 (15.776)\tl_p 0.001 (0.003)\tab_p 0.011 (0.015)": (
        3,
        {"loss": 15.702, "l_p": 0.001, "ab_p": 0.011},
    ),
    # Cysu/open-reid
    "Epoch: [0][5/7]\tTime 0.052 (0.076)\tData 0.013 (0.023)\tLoss 3.353 (3.345)\tPrec 6.25% (2.50%)\t": (
        5,
        {"loss": 3.353, "prec": 6.25},
    ),
    # FoundationVision/VAR
    "[12-01 01:50:42] (/home/me/VAR/utils/misc.py, line 314)=> [Ep]: [   1/10]  [2/4]  eta: 0:00:00  tlr: 0.00063"
    "  Lm: 8.305 (8.268)  Lt: 8.292 (8.250)  Accm: 0.00 (25.00)  time: 0.3407  data: 0.0358": (
        2,
        {"lm": 8.305, "lt": 8.292, "accm": 0.0},
    ),
    "Epoch 3/10 - train loss: 0.512, val loss: 0.412, val acc: 81.2%": (
        3,
        {"train_loss": 0.512, "val_loss": 0.412, "val_acc": 81.2},
    ),
    "Epoch 3, train loss 0.512 acc 0.81, valid loss 0.412 acc 0.79": (
        3,
        {"train_loss": 0.512, "acc": 0.81, "val_loss": 0.412, "val_acc": 0.79},
    ),
    "epoch 3 train 0.5123 val 0.4123": (3, {"train": 0.5123, "val": 0.4123}),
    "ep 3 | loss 0.512": (3, {"loss": 0.512}),
    "Ep. 3: loss 0.512": (3, {"loss": 0.512}),
    "[Epoch 3] [Iter 20/100] loss 0.512 (avg 0.53)": (220, {"loss": 0.512}),
    'time="2024-01-01T10:00:00Z" level=info msg="progress" epoch=3 loss=0.5123': (3, {"loss": 0.5123}),
    "2024-01-01 10:00:00.123 | INFO     | __main__:train:120 - step 100: loss 0.5123": (100, {"loss": 0.5123}),
    "[100] loss: 0.512 - val: 0.412": (100, {"loss": 0.512}),
}


@pytest.mark.parametrize("line", OTHER_HANDS)
def test_what_other_hands_write_is_read_too(line: str) -> None:
    (found,) = fed(line)
    assert (found.step, dict(found.values)) == OTHER_HANDS[line]


def test_an_overall_accuracy_is_not_the_mean_of_the_classes() -> None:
    lines = ["Overall Acc: \t 0.0529", "Mean Acc : \t 0.0820", "FreqW Acc : \t 0.0076", "Mean IoU : \t 0.0097"]
    found = [dict(one.values) for one in fed("Iter [10/80]  Loss: 2.6428", *lines)]  # meetps/pytorch-semseg
    assert found[1:] == [{"overall_acc": 0.0529}, {"acc": 0.082}, {"freqw_acc": 0.0076}, {"iou": 0.0097}]


def test_a_name_may_begin_with_a_digit() -> None:
    lines = [f"[{n}] time 0.01 lr 0.000{n} 3d_train {n}96.205 3d_eval {n}07.62 3d_valid {n}21.31" for n in (1, 2, 3)]
    (*_, found) = fed(*lines)  # facebookresearch/VideoPose3D
    assert (found.step, found.values["3d_train"], found.values["3d_valid"]) == (3, 396.205, 321.31)


def test_what_people_are_found_again_by_is_read() -> None:
    before = "Epoch: [1][5/20]\tTime 0.123 (0.145)\tLoss 1.2345 (1.3456)"
    # KaiyangZhou/deep-person-reid, michuanhaohao/reid-strong-baseline, layumi/Person_reID_baseline_pytorch
    lines = ["mAP: 81.2%", "CMC curve", "Rank-1  : 92.1%", "CMC curve, Rank-5  :98.2%"]
    lines += ["Rank@1:0.921021 Rank@10:0.983670 mAP:0.812345", "Rank 1 of 4: 12.5 GB"]
    assert [dict(one.values) for one in fed(before, *lines)][1:] == [
        {"map": 81.2}, {"rank_1": 92.1}, {"rank_5": 98.2},
        {"rank@1": 0.921021, "rank@10": 0.98367, "map": 0.812345},
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Top 1 Accuracy 30.123 (29.456)\tTop 5 Accuracy 55.123", {"top_1_accuracy": 30.123, "top_5_accuracy": 55.123}),
        ("Val PSNR 31.2 / SSIM 0.91 / LPIPS 0.12", {"val_psnr": 31.2, "val_ssim": 0.91, "val_lpips": 0.12}),
        ("mIoU: 0.6123, mAcc: 0.7123, aAcc: 0.9123", {"miou": 0.6123, "macc": 0.7123, "aacc": 0.9123}),
        # deepinsight/insightface
        ("Training: 2026-11-30 17:02:18,481-[lfw][20]Accuracy-Flip: 0.5000+-0.0010", {"lfw_accuracy_flip": 0.5}),
    ],
)
def test_all_that_stands_side_by_side_is_read(line: str, expected: object) -> None:
    (_, found) = fed("Epoch: [0][5/20]\tLoss 1.2345 (1.3456)", line)
    assert found.values == expected
