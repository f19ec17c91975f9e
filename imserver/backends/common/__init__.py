"""What every cellar needs, whatever its engine. It imports none of them."""
