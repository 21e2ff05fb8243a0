"""Which type each tensor of a model should get: errors and speeds measured, the choice solved exactly."""
