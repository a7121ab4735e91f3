# after the package's examples/cars segmentation notebook: TrainEpoch / ValidEpoch
import numpy as np
import segmentation_models_pytorch as smp
import segmentation_models_pytorch.utils
import torch

torch.manual_seed(0)


class D(torch.utils.data.Dataset):
    def __init__(self, n, seed):
        self.n, self.seed = n, seed

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        g = np.random.default_rng(self.seed * 1000 + i)
        m = np.zeros((1, 64, 64), "float32")
        a, b = g.integers(4, 30, 2)
        m[:, a : a + 28, b : b + 28] = 1
        x = g.normal(size=(3, 64, 64)).astype("float32") * 0.5 + m
        return torch.from_numpy(x), torch.from_numpy(m)


model = smp.FPN(encoder_name="resnet18", encoder_weights=None, classes=1, activation="sigmoid")
loss = smp.utils.losses.DiceLoss()
metrics = [smp.utils.metrics.IoU(threshold=0.5)]
optimizer = torch.optim.Adam([{"params": model.parameters(), "lr": 0.0005}])
train_loader = torch.utils.data.DataLoader(D(64, 1), batch_size=4, shuffle=True)
valid_loader = torch.utils.data.DataLoader(D(16, 2), batch_size=1)
train_epoch = smp.utils.train.TrainEpoch(
    model, loss=loss, metrics=metrics, optimizer=optimizer, device="cpu", verbose=True
)
valid_epoch = smp.utils.train.ValidEpoch(model, loss=loss, metrics=metrics, device="cpu", verbose=True)
max_score = 0
for i in range(4):
    train_logs = train_epoch.run(train_loader)
    valid_logs = valid_epoch.run(valid_loader)
    if max_score < valid_logs["iou_score"]:
        max_score = valid_logs["iou_score"]
        torch.save(model.state_dict(), "./best_model.pth")
    if i == 2:
        optimizer.param_groups[0]["lr"] = 1e-5
