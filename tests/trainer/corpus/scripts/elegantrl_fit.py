# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""elegantrl, as it prints by itself."""

import numpy as np, torch
from elegantrl.train.config import Config
from elegantrl.train.run import train_agent
from elegantrl.agents.AgentPPO import AgentPPO


class Point:
    def __init__(self):
        self.env_name, self.state_dim, self.action_dim, self.if_discrete, self.max_step, self.num_envs = (
            "Point",
            3,
            1,
            False,
            40,
            1,
        )
        self.rng = np.random.default_rng(0)

    def obs(self):
        return np.array([self.x, self.v, self.t / 40], dtype=np.float32)

    def reset(self, **kw):
        self.x, self.v, self.t = float(self.rng.uniform(-1, 1)), 0.0, 0
        return self.obs()

    def step(self, a):
        self.v += 0.2 * float(np.asarray(a).reshape(-1)[0])
        self.x += 0.1 * self.v
        self.t += 1
        return self.obs(), -(self.x**2), abs(self.x) > 3 or self.t >= 40, {}


a = Config(
    AgentPPO,
    Point,
    {"env_name": "Point", "num_envs": 1, "max_step": 40, "state_dim": 3, "action_dim": 1, "if_discrete": False},
)
a.net_dims = [16, 16]
a.gpu_id = -1
a.horizon_len = 400
a.eval_per_step = 1000
a.eval_times = 4
a.break_step = 20000
a.repeat_times = 8
a.batch_size = 64
a.cwd = "/tmp/erl"
a.if_remove = True
train_agent(a)
