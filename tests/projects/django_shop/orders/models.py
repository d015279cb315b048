"""What is sold."""

from django.db import models


class Order(models.Model):
    """One order."""

    name = models.CharField(max_length=100)
    confirmed = models.IntegerField(default=0)
    tries = models.IntegerField(default=0)
