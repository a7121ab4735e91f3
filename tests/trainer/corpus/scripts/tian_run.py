# Written as its users write theirs, so no rule of ours is asked of it.
# ruff: noqa
import gymnasium as gym
import torch
import tianshou as ts
from tianshou.algorithm import DQN
from tianshou.algorithm.modelfree.dqn import DiscreteQLearningPolicy
from tianshou.algorithm.optim import AdamOptimizerFactory
from tianshou.data import Collector, VectorReplayBuffer
from tianshou.env import DummyVectorEnv
from tianshou.trainer import OffPolicyTrainerParams
from tianshou.utils.net.common import Net

env = gym.make("CartPole-v1")
train, test = (DummyVectorEnv([lambda: gym.make("CartPole-v1") for _ in range(2)]) for _ in range(2))
net = Net(state_shape=(4,), action_shape=2, hidden_sizes=[16])
policy = DiscreteQLearningPolicy(model=net, action_space=env.action_space, eps_training=0.1)
algorithm = DQN(policy=policy, optim=AdamOptimizerFactory(lr=1e-3))
algorithm.run_training(
    OffPolicyTrainerParams(
        training_collector=Collector(algorithm, train, VectorReplayBuffer(2000, 2)),
        test_collector=Collector(algorithm, test),
        max_epochs=3,
        epoch_num_steps=200,
        collection_step_num_env_steps=20,
        test_step_num_episodes=2,
        batch_size=16,
        update_step_num_gradient_steps_per_sample=0.1,
    )
)
