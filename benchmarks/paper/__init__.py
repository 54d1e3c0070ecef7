"""The paper's tables and studies, and what it takes to make them."""
