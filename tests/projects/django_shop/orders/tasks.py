"""Tasks of the app, bound to no Celery application."""

from celery import Task, shared_task
from django.db.models import F

from orders.models import Order


class OrderTask(Task):
    """A base class of the project's."""

    default_retry_delay = 1

    def before_start(self, task_id, args, kwargs):
        """Count the tries."""
        Order.objects.filter(pk=args[0]).update(tries=F("tries") + 1)


@shared_task
def confirm(pk):
    """Runs once the order can be seen: DoesNotExist otherwise."""
    order = Order.objects.get(pk=pk)
    Order.objects.filter(pk=pk).update(confirmed=F("confirmed") + 1)
    return order.name


@shared_task(bind=True, base=OrderTask, max_retries=2)
def charge(self, pk):
    """Succeeds at the second try."""
    if not self.request.retries:
        raise self.retry(exc=ConnectionError("card"))
    return {"charged": pk}


@shared_task
def remind():
    """Periodic."""
    Order.objects.filter(name="periodic").update(confirmed=F("confirmed") + 1)
