# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""rsl_rl, as it prints by itself."""

import torch
from tensordict import TensorDict
from rsl_rl.env import VecEnv
from rsl_rl.runners import OnPolicyRunner


class Env(VecEnv):
    def __init__(self):
        self.num_envs, self.num_actions, self.max_episode_length, self.device, self.cfg = 16, 1, 20, "cpu", {}
        self.episode_length_buf = torch.zeros(16, dtype=torch.long)
        self.x = torch.randn(16, 2)

    def get_observations(self):
        return TensorDict({"policy": self.x.clone()}, batch_size=[16])

    def step(self, a):
        self.x = 0.9 * self.x + torch.cat([a, torch.zeros_like(a)], 1).clamp(-1, 1) * 0.3
        r = -(self.x**2).sum(1)
        self.episode_length_buf += 1
        out = self.episode_length_buf >= 20
        self.x[out] = torch.randn(int(out.sum()), 2)
        self.episode_length_buf[out] = 0
        return self.get_observations(), r, out.long(), {"time_outs": out}


cfg = {
    "num_steps_per_env": 24,
    "save_interval": 50,
    "obs_groups": {"actor": ["policy"], "critic": ["policy"]},
    "algorithm": {"class_name": "PPO", "num_learning_epochs": 2, "num_mini_batches": 2},
    "actor": {
        "class_name": "MLPModel",
        "hidden_dims": [16],
        "distribution_cfg": {"class_name": "GaussianDistribution", "init_std": 1.0},
    },
    "critic": {"class_name": "MLPModel", "hidden_dims": [16]},
}
OnPolicyRunner(Env(), cfg, log_dir="rsl").learn(12)
