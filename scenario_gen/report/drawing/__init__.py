"""Pictures of the page: charts, strips, figures of one path, learning curves. Only this room knows matplotlib."""
