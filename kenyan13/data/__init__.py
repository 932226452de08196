"""Images and labels: catalogue -> split -> store -> sampling -> augmentation -> datamodule."""
