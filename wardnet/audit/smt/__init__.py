"""The second opinion: z3 on an encoding of its own, which shares nothing with the sets but the model."""
