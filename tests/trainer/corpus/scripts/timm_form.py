# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""timm's training loop logs in this form (its script is not in the package): its AverageMeter, its words."""

import logging

import torch
from timm import create_model
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from timm.utils import AverageMeter, setup_default_logging
from timm.utils.summary import update_summary

setup_default_logging()
log = logging.getLogger("train")
torch.manual_seed(0)
model = create_model("resnet10t", num_classes=4)
optimizer = create_optimizer_v2(model, opt="adamw", lr=1e-3)
scheduler, epochs = create_scheduler_v2(optimizer, sched="cosine", num_epochs=3, warmup_epochs=0)
log.info(f"Scheduled epochs: {epochs}. LR stepped per epoch.")
batches = [(torch.randn(4, 3, 32, 32), torch.randint(0, 4, (4,))) for _ in range(8)]
for epoch in range(3):
    losses, took, waited = AverageMeter(), AverageMeter(), AverageMeter()
    for n, (x, y) in enumerate(batches):
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.update(loss.item(), 4)
        took.update(0.3)
        waited.update(0.02)
        lr = optimizer.param_groups[0]["lr"]
        if n % 2 == 1:
            log.info(
                f"Train: {epoch} [{n:>4d}/{len(batches)} "
                f"({100.0 * n / (len(batches) - 1):>3.0f}%)]  "
                f"Loss: {losses.val:#.3g} ({losses.avg:#.3g})  "
                f"Time: {took.val:.3f}s, {4 / took.val:>7.2f}/s  "
                f"({took.avg:.3f}s, {4 / took.avg:>7.2f}/s)  "
                f"LR: {lr:.3e}  "
                f"Data: {waited.val:.3f} ({waited.avg:.3f})"
            )
    for n in (0, 3, 7):
        log.info(
            f"Test: [{n:>4d}/7]  "
            f"Time: {took.val:.3f} ({took.avg:.3f})  "
            f"Loss: {losses.val:>7.3f} ({losses.avg:>6.3f})  "
            f"Acc@1: {25.0:>7.3f} ({25.0:>7.3f})  "
            f"Acc@5: {100.0:>7.3f} ({100.0:>7.3f})"
        )
    log.info(f"*** Best metric: {25.0} (epoch {epoch})")
    scheduler.step(epoch + 1)
