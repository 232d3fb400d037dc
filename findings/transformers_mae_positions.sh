#!/usr/bin/env bash
# A new ViTMAE of transformers has no positions: its frozen sine and cosine embeddings are zeros.
#
# Versions: torch==2.15.0 transformers==5.23.0 numpy==2.4.6 (Python 3.11, CPU)
# Expected: "fixed sin-cos embedding", as a comment at the parameter says and as in the paper. It has no gradient, so training
#   does not change it.
# Seen: the embeddings of encoder and decoder are zeros in a new ViTMAEForPreTraining. All hidden patches are the same to the
#   decoder, and it predicts the same pixels for all of them. initialize_weights() of the embeddings, called by hand, changes
#   nothing: it returns early, because the convolution is initialised already. Published weights bring their positions along;
#   only pre-training from scratch is affected.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python torch==2.15.0 transformers==5.23.0 numpy==2.4.6
venv/bin/python - <<'PY'
import torch
from transformers import ViTMAEConfig, ViTMAEForPreTraining

torch.manual_seed(0)
sizes = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, image_size=64)
decoder = dict(decoder_hidden_size=32, decoder_num_hidden_layers=1, decoder_num_attention_heads=2)
network = ViTMAEForPreTraining(ViTMAEConfig(**sizes, **decoder, decoder_intermediate_size=64))
positions = {name: each for name, each in network.named_parameters() if not each.requires_grad}
for name, each in positions.items():
    print(f"{name:40} largest value {each.abs().max().item():.3f}")
network.vit.embeddings.initialize_weights()
print("after initialize_weights() by hand:", network.vit.embeddings.position_embeddings.abs().max().item())
with torch.no_grad():
    output = network(torch.randn(1, 3, 64, 64))
hidden = output.logits[0, output.mask[0].bool()]
spread, others = (hidden - hidden[0]).abs().max().item(), output.logits[0, ~output.mask[0].bool()].std(0).max().item()
print(f"largest difference between predictions of {len(hidden)} hidden patches: {spread:.1e}; visible ones: {others:.1e}")
assert len(positions) == 2 and not any(each.any() for each in positions.values())
assert spread < 1e-5 < others
PY
