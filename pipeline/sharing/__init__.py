"""Student and neighbours as folders for the Hugging Face hub, with model and dataset cards."""
