# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
"""stable-baselines3's tables."""

import gymnasium as gym
from stable_baselines3 import PPO

PPO("MlpPolicy", gym.make("CartPole-v1"), n_steps=64, batch_size=32, n_epochs=2, verbose=1, device="cpu", seed=0).learn(
    640
)
