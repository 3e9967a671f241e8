"""The paper exchange: a matching engine with Kite's manners, as a pure library.

``exchange.Exchange`` is the engine, ``ledger.DurableExchange`` the same with a durable file under it,
``account`` the books it starts from. No Django, no network, no clock: every call is told the time.
"""
