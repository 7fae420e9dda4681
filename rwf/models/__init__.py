"""The paper's network architectures and one beside them, as Flax NNX modules that take arrays and `rwf.Jet`s alike."""

from rwf.models.cnn import CNN
from rwf.models.deeponet import DeepONet
from rwf.models.mlp import MLP
from rwf.models.modified_deeponet import ModifiedDeepONet
from rwf.models.modified_mlp import ModifiedMLP
from rwf.models.multihead_mlp import MultiHeadMLP
from rwf.models.siren import SIREN

__all__ = ["CNN", "MLP", "SIREN", "DeepONet", "ModifiedDeepONet", "ModifiedMLP", "MultiHeadMLP"]
