"""What a trained model has learnt: whether two of them have the same features, up to a linear map or a permutation."""
