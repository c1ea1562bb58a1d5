"""What is measured: networks, batches, optimisers, and how pliant is asked for the same."""

MNIST = {"shape": (1, 28, 28), "actions": 10, "optimizer": "adam"}
ATARI = {"shape": (4, 84, 84), "actions": 4, "optimizer": "rmsprop", "net": "nature", "batch": 32}

CASES = {
    "nature, batch 32, RMSProp": {
        **ATARI,
        "pliant": ["double_dqn_zoo", "--set", "agent.learning_starts=500", "--set", "agent.replay_capacity=2000"],
    },
}
for net in ("mlp", "cnn"):
    for batch in (128, 512):
        settings = [f"network.kind={net}", f"agent.batch_size={batch}", "agent.optimizer.kind=adam"]
        options = [part for setting in settings for part in ("--set", setting)]
        CASES[f"{net}, batch {batch}, Adam"] = {
            **MNIST, "net": net, "batch": batch, "pliant": ["mnist_true_label", *options],
        }

# Adam and RMSProp as the presets have them.
ADAM = {"lr": 1e-4, "eps": 1.5e-4}
RMSPROP = {"lr": 2.5e-4, "alpha": 0.95, "eps": 1e-5}

# Playing and learning: Breakout, an update for every four agent steps, exploration held fixed.
PLAY = {**ATARI, "optimizer": "adam"}
LEARNING_STARTS, CAPACITY, EPSILON, WARMED_UP = 1000, 10_000, 0.1, 400
