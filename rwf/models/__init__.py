"""The paper's network architectures and others beside them, as Flax NNX modules of arrays and `rwf.Jet`s alike."""

from rwf.models.cnn import CNN
from rwf.models.deeponet import DeepONet
from rwf.models.finer import FINER
from rwf.models.mlp import MLP
from rwf.models.modified_deeponet import ModifiedDeepONet
from rwf.models.modified_mlp import ModifiedMLP
from rwf.models.multihead_mlp import MultiHeadMLP
from rwf.models.pirate import PirateNet
from rwf.models.siren import SIREN
from rwf.models.wire import WIRE

__all__ = [
    "CNN",
    "FINER",
    "MLP",
    "SIREN",
    "WIRE",
    "DeepONet",
    "ModifiedDeepONet",
    "ModifiedMLP",
    "MultiHeadMLP",
    "PirateNet",
]
