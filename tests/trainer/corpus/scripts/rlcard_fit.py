# a DQN agent on Leduc hold'em, with the package's agent messages and Logger, as in the docs' example
import rlcard
import torch
from rlcard.agents import DQNAgent, RandomAgent
from rlcard.utils import Logger, reorganize, set_seed, tournament

set_seed(42)
env = rlcard.make("leduc-holdem", config={"seed": 42})
agent = DQNAgent(
    num_actions=env.num_actions, state_shape=env.state_shape[0], mlp_layers=[64, 64], device=torch.device("cpu")
)
env.set_agents([agent] + [RandomAgent(num_actions=env.num_actions) for _ in range(1, env.num_players)])
with Logger("experiments/leduc_holdem_dqn_result/") as logger:
    for episode in range(250):
        trajectories, payoffs = env.run(is_training=True)
        for ts in reorganize(trajectories, payoffs)[0]:
            agent.feed(ts)
        if episode % 50 == 0:
            logger.log_performance(episode, tournament(env, 200)[0])
