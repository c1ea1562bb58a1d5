"""A plain Double DQN in PyTorch."""

import copy

import torch
from torch import nn
from torch.nn import functional as F

from bench_train.cases import ADAM, RMSPROP


def network(case):
    relu, out = nn.ReLU, case["actions"]
    if case["net"] == "nature":
        layers = [nn.Conv2d(4, 32, 8, 4), relu(), nn.Conv2d(32, 64, 4, 2), relu(), nn.Conv2d(64, 64, 3, 1), relu(),
                  nn.Flatten(), nn.Linear(3136, 512), relu(), nn.Linear(512, out)]
    elif case["net"] == "cnn":
        layers = [nn.Conv2d(1, 64, 5, 2), relu(), nn.Conv2d(64, 64, 3, 2), relu(), nn.Flatten(),
                  nn.Linear(1600, 256), relu(), nn.Linear(256, 256), relu(), nn.Linear(256, out)]
    else:
        layers = [nn.Flatten(), nn.Linear(784, 512), relu(), nn.Linear(512, 512), relu(), nn.Linear(512, out)]
    return nn.Sequential(*layers)


class Learner:
    """Both networks and the quickest optimiser there is: fused Adam, or RMSProp over lists."""

    def __init__(self, case, precision, is_channels_last, device="cpu"):
        self.memory = torch.channels_last if is_channels_last else torch.contiguous_format
        self.online = network(case).to(device, memory_format=self.memory)
        self.target = copy.deepcopy(self.online)
        parameters, on_gpu = self.online.parameters(), device != "cpu"
        if case["optimizer"] == "adam":
            self.optimizer = torch.optim.Adam(parameters, **ADAM, fused=True, capturable=on_gpu)
        else:
            self.optimizer = torch.optim.RMSprop(parameters, **RMSPROP, centered=True, foreach=True, capturable=on_gpu)
        for backend in (torch.backends.cuda.matmul, torch.backends.cudnn):
            backend.allow_tf32 = precision == "tf32"
        kind = torch.device(device).type
        self.autocast = torch.autocast(kind, torch.bfloat16, enabled=precision == "bf16")

    def scaled(self, observations):
        return (observations.float() / 255).contiguous(memory_format=self.memory)

    def act(self, observations):
        with torch.no_grad():
            return self.online(self.scaled(observations)).argmax(1)

    def update(self, *batch):
        return self.learn(*batch).item()

    def recorded(self, *batch):
        """The same as a CUDA graph, on copies of this batch; new ones are copied there."""
        places = [tensor.clone() for tensor in batch]
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(3):
                self.learn(*places)
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            loss = self.learn(*places)

        def update(*batch):
            for place, tensor in zip(places, batch):
                place.copy_(tensor)
            graph.replay()
            return loss.item()

        return update

    def learn(self, before, actions, rewards, discounts, after):
        before, after = self.scaled(before), self.scaled(after)
        with self.autocast:
            with torch.no_grad():
                best = self.online(after).argmax(1, keepdim=True)
                value = self.target(after).gather(1, best).squeeze(1).float()
                goal = rewards + discounts * value
            q = self.online(before)
        q = q.float().gather(1, actions.unsqueeze(1)).squeeze(1)
        loss = F.smooth_l1_loss(q, goal)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return loss
