import pulsekit.sync

with pulsekit.sync.connect() as pulse:
    pulse.create_exchange("exchange/me/dead")
    with pulse.subscribe("exchange/me/dead", queue="queue/me/dead"):
        pass  # the queue exists and is bound
