"""Fine-tune a timm backbone: python train.py model=efficientnet_b4 freeze=pt5 (--help for more)."""

from kenyan13.cli.train import main

if __name__ == "__main__":
    main()
