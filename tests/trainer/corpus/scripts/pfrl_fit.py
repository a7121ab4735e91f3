# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""PFRL: double DQN on a walk, its train_agent_with_evaluation."""

import logging
import sys
import gym
import numpy as np
import pfrl
import torch

logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="")


class Walk(gym.Env):
    observation_space = gym.spaces.Box(-5, 5, (1,), np.float32)
    action_space = gym.spaces.Discrete(2)

    def reset(self):
        self.at, self.t = np.zeros(1, np.float32), 0
        return self.at.copy()

    def step(self, action):
        self.at += 1 if action else -1
        self.t += 1
        return self.at.copy(), float(self.at[0] > 0), self.t >= 20, {}


torch.manual_seed(0)
q = torch.nn.Sequential(
    torch.nn.Linear(1, 16), torch.nn.ReLU(), torch.nn.Linear(16, 2), pfrl.q_functions.DiscreteActionValueHead()
)
agent = pfrl.agents.DoubleDQN(
    q,
    torch.optim.Adam(q.parameters(), 1e-2),
    pfrl.replay_buffers.ReplayBuffer(1000),
    0.9,
    pfrl.explorers.ConstantEpsilonGreedy(0.2, lambda: np.random.randint(2)),
    replay_start_size=50,
    update_interval=1,
    target_update_interval=50,
    gpu=-1,
)
pfrl.experiments.train_agent_with_evaluation(
    agent,
    Walk(),
    steps=400,
    eval_n_steps=None,
    eval_n_episodes=3,
    train_max_episode_len=20,
    eval_interval=100,
    outdir="out",
)
