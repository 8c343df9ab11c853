"""An encoder's vectors in a gallery, with the catalog that describes them: how they come there,
stay with their images, go to another store, and are written out."""
