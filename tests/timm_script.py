"""A training script for timm, such as people have; `test_timm_script.py` changes its import of `create_model`."""

import sys

import torch
from timm import create_model
from timm.data import Mixup, create_transform, resolve_model_data_config
from timm.loss import SoftTargetCrossEntropy
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from timm.utils import ModelEmaV3, get_state_dict, unwrap_model
from torchvision.transforms.functional import to_pil_image

name, checkpoint, arguments = sys.argv[1], sys.argv[2], dict(pair.split("=") for pair in sys.argv[3:])

torch.manual_seed(0)
model = create_model(
    name, pretrained=False, num_classes=5, drop_rate=0.1, drop_path_rate=0.1, global_pool=None, scriptable=False,
    checkpoint_path="", **{key: int(value) for key, value in arguments.items()},
)  # fmt: skip
model.set_grad_checkpointing(enable=True)
config = resolve_model_data_config(model)
transform = create_transform(**config, is_training=True, auto_augment="rand-m9-mstd0.5-inc1", re_prob=0.25)
pictures = [to_pil_image(torch.rand(3, 40, 50)) for _ in range(4)]
images, labels = torch.stack([transform(picture) for picture in pictures]), torch.arange(4)
assert images.shape[1:] == config["input_size"]

mixup = Mixup(mixup_alpha=0.8, cutmix_alpha=1.0, label_smoothing=0.1, num_classes=model.num_classes)
optimizer = create_optimizer_v2(model, "adamw", lr=1e-3, weight_decay=0.05, layer_decay=0.75)
scheduler, epochs = create_scheduler_v2(optimizer, sched="cosine", num_epochs=10, warmup_epochs=1)
ema = ModelEmaV3(model, decay=0.9)
criterion = SoftTargetCrossEntropy()

for epoch in range(2):
    model.train()
    mixed, targets = mixup(images.clone(), labels)
    loss = criterion(model(mixed), targets)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    ema.update(model, step=epoch)
    scheduler.step(epoch + 1)
rates = sorted({group["lr"] for group in optimizer.param_groups})
assert len(rates) > 2, rates
assert torch.isfinite(loss)

torch.save({"arch": name, "state_dict": get_state_dict(model, unwrap_model)}, checkpoint)
again = create_model(name, num_classes=5, checkpoint_path=checkpoint, **{k: int(v) for k, v in arguments.items()})
torch.testing.assert_close(again.eval()(images), model.eval()(images))
print("rates", len(rates), "classes", again.get_classifier().out_features, "size", config["input_size"][-1])
