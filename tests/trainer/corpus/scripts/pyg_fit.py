# The node classification loop of the package's examples, on a made-up graph.
import torch
import torch.nn.functional as F
from torch_geometric.data import Data
from torch_geometric.logging import log
from torch_geometric.nn import GCNConv

torch.manual_seed(0)
n, k = 300, 4
y = torch.randint(0, k, (n,))
x = torch.randn(n, 16) + F.one_hot(y, 16) * 1.0
e = torch.randint(0, n, (2, 6000))
e = e[:, (y[e[0]] == y[e[1]]) | (torch.rand(6000) < 0.2)]
m = torch.rand(n)
data = Data(x=x, y=y, edge_index=e, train_mask=m < 0.3, val_mask=(m >= 0.3) & (m < 0.6), test_mask=m >= 0.6)


class GCN(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.a = GCNConv(16, 16)
        self.b = GCNConv(16, k)

    def forward(self, x, ei):
        x = F.dropout(x, 0.5, self.training)
        x = self.a(x, ei).relu()
        return self.b(F.dropout(x, 0.5, self.training), ei)


model = GCN()
opt = torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=5e-4)
for epoch in range(1, 61):
    model.train()
    opt.zero_grad()
    out = model(data.x, data.edge_index)
    loss = F.cross_entropy(out[data.train_mask], data.y[data.train_mask])
    loss.backward()
    opt.step()
    model.eval()
    with torch.no_grad():
        p = model(data.x, data.edge_index).argmax(-1)
    a, b, c = (float((p[q] == data.y[q]).float().mean()) for q in (data.train_mask, data.val_mask, data.test_mask))
    log(Epoch=epoch, Loss=float(loss.detach()), Train=a, Val=b, Test=c)
