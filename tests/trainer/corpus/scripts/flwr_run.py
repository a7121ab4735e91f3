# after the quickstart: FedAvg with Message API apps, in simulation
import torch
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation


def net():
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(10, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2))


def data(k, n):
    g = torch.Generator().manual_seed(k)
    x = torch.randn(n, 10, generator=g)
    return x, (x[:, 0] + x[:, 1] > 0).long()


client = ClientApp()


@client.train()
def train(msg: Message, context: Context):
    m = net()
    m.load_state_dict(msg.content["arrays"].to_torch_state_dict())
    x, y = data(int(context.node_config["partition-id"]), 128)
    o = torch.optim.SGD(m.parameters(), lr=0.1)
    for _ in range(5):
        o.zero_grad()
        loss = torch.nn.functional.cross_entropy(m(x), y)
        loss.backward()
        o.step()
    return Message(
        content=RecordDict(
            {
                "arrays": ArrayRecord(m.state_dict()),
                "metrics": MetricRecord({"train_loss": float(loss), "num-examples": 128}),
            }
        ),
        reply_to=msg,
    )


@client.evaluate()
def evaluate(msg: Message, context: Context):
    m = net()
    m.load_state_dict(msg.content["arrays"].to_torch_state_dict())
    x, y = data(100 + int(context.node_config["partition-id"]), 64)
    p = m(x)
    return Message(
        content=RecordDict(
            {
                "metrics": MetricRecord(
                    {
                        "eval_loss": float(torch.nn.functional.cross_entropy(p, y)),
                        "eval_acc": float((p.argmax(1) == y).float().mean()),
                        "num-examples": 64,
                    }
                )
            }
        ),
        reply_to=msg,
    )


server = ServerApp()


@server.main()
def main(grid: Grid, context: Context):
    FedAvg(fraction_train=0.5).start(
        grid=grid, initial_arrays=ArrayRecord(net().state_dict()), train_config=ConfigRecord({"lr": 0.1}), num_rounds=3
    )


if __name__ == "__main__":
    run_simulation(
        server_app=server,
        client_app=client,
        num_supernodes=4,
        backend_config={"client_resources": {"num_cpus": 1, "num_gpus": 0.0}, "init_args": {"num_cpus": 1}},
    )
