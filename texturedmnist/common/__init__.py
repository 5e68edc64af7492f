"""What both packages stand on: it knows neither data nor methods."""
