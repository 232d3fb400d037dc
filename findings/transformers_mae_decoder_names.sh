#!/usr/bin/env bash
# transformers 5 saves the decoder of a ViTMAE under names that transformers 4 and the published files do not have.
#
# Versions: torch==2.15.0 transformers==5.23.0 safetensors==0.8.0 numpy==2.4.6, read by transformers==4.57.3 (Python 3.11, CPU)
# Expected: save_pretrained of version 5 writes the names of the published files, which differ from those in memory, and for
#   the encoder it does. A published file that is loaded and saved again has the names that it had.
# Seen: the decoder's blocks are written as decoder.decoder_encoder.layer.N. No module has this name: in published files and in
#   memory they are decoder.decoder_layers.N. The rule for the encoder, encoder.layer -> layers, is reversed there too.
#   from_pretrained of version 5 reads either; that of version 4 starts with a new decoder (and a warning), and predicts
#   something else. With the blocks renamed in the file, version 4 predicts the same.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export TQDM_DISABLE=1 TRANSFORMERS_VERBOSITY=error
uv venv -q --python 3.11 venv
uv pip install -q --python venv/bin/python torch==2.15.0 transformers==5.23.0 safetensors==0.8.0 numpy==2.4.6
uv pip install -q --python venv/bin/python --target older transformers==4.57.3 safetensors==0.8.0 numpy==2.4.6

cat > predict.py <<'PY'
import torch
from transformers import ViTMAEForPreTraining, __version__

generator = torch.Generator().manual_seed(0)
images, noise = torch.randn(2, 3, 64, 64, generator=generator), torch.rand(2, 16, generator=generator)


@torch.no_grad()
def predictions(network):
    return network.eval()(images, noise=noise).logits


def compare(folder, expected):
    torch.manual_seed(1)
    network, loading = ViTMAEForPreTraining.from_pretrained(folder, output_loading_info=True)
    missing, unexpected = len(loading["missing_keys"]), len(loading["unexpected_keys"])
    difference = (predictions(network) - expected).abs().max().item()
    print(f"{folder}, read by {__version__}: {missing} missing, {unexpected} unexpected, predictions differ by {difference:.2g}")
    return missing, unexpected, difference
PY
cat > write.py <<'PY'
import torch
from predict import compare, predictions
from safetensors.torch import load_file, save_file
from transformers import ViTMAEConfig, ViTMAEForPreTraining

encoder = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, image_size=64)
decoder = dict(decoder_hidden_size=32, decoder_num_hidden_layers=2, decoder_num_attention_heads=2, decoder_intermediate_size=64)
network, generator = ViTMAEForPreTraining(ViTMAEConfig(**encoder, **decoder)), torch.Generator().manual_seed(2)
with torch.no_grad():
    for parameter in network.parameters():
        parameter.uniform_(-0.2, 0.2, generator=generator)
torch.save(predictions(network), "expected.pt")
network.save_pretrained("saved")
stored = load_file("saved/model.safetensors")
for name in stored:
    if name.endswith("0.layernorm_before.weight"):
        print("written:", name)
renamed = {name.replace("decoder_encoder.layer.", "decoder_layers."): tensor for name, tensor in stored.items()}
network.config.save_pretrained("renamed")
save_file(renamed, "renamed/model.safetensors", {"format": "pt"})
compare("saved", torch.load("expected.pt"))
again = ViTMAEForPreTraining.from_pretrained("renamed")
again.save_pretrained("again")
names = load_file("again/model.safetensors").keys()
print("loaded under the published names, and saved again: names kept:", names == renamed.keys())
assert names == stored.keys() != renamed.keys()
assert {f"{part}.layer.0.layernorm_before.weight" for part in ("decoder.decoder_encoder", "vit.encoder")} <= names
assert any(name.startswith("decoder.decoder_layers.0.") for name in network.state_dict())
PY
cat > read.py <<'PY'
import torch
from predict import compare

expected = torch.load("expected.pt")
lost, same = compare("saved", expected), compare("renamed", expected)
assert lost[:2] == (32, 32) and lost[2] > 0.01  # 2 blocks of 16 tensors
assert same[:2] == (0, 0) and same[2] < 1e-5
PY
venv/bin/python write.py
PYTHONPATH=older venv/bin/python read.py
