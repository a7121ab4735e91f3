# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
import mlflow

mlflow.set_tracking_uri("file:./mlruns")
with mlflow.start_run():
    for step in range(0, 30, 3):
        mlflow.log_metric("loss", 2.0 / (step + 1), step=step)
        mlflow.log_metrics({"val/acc": 0.1 + step / 100}, step=step)
