"""The words the reader knows, as data. A phrase maps to the tags it can bear.

A word that is in no table is unknown, and a message with an unknown word in it is asked back rather than guessed at.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum


class Tag(StrEnum):
    """What a word does in a sentence."""

    BUY = "buy"
    SELL = "sell"
    SHORT = "short"
    EXIT = "exit"
    COVER = "cover"
    INVEST = "invest"
    REDUCE = "reduce"
    KEEP = "keep"
    PLACE = "place"
    CANCEL = "cancel"
    MODIFY = "modify"
    TO = "to"
    BY = "by"
    SHARES = "shares"
    QUANTITY = "quantity"
    PRICE = "price"
    LOT = "lot"
    EACH = "each"
    AT = "at"
    AT_AFTER = "at_after"
    FOR = "for"
    NOT_ABOVE = "not_above"
    NOT_BELOW = "not_below"
    ABOVE = "above"
    BELOW = "below"
    LIMIT = "limit"
    MARKET = "market"
    TRIGGER = "trigger"
    STOP = "stop"
    TARGET = "target"
    SL_ORDER = "sl_order"
    SL_M = "sl_m"
    MIS = "mis"
    CNC = "cnc"
    NRML = "nrml"
    MTF = "mtf"
    NSE = "nse"
    BSE = "bse"
    DAY = "day"
    IOC = "ioc"
    TTL = "ttl"
    MINUTES = "minutes"
    AMO = "amo"
    ICEBERG = "iceberg"
    GTT = "gtt"
    WORTH = "worth"
    RUPEES = "rupees"
    PERCENT = "percent"
    OF = "of"
    POSSESSIVE = "possessive"
    ALL = "all"
    HALF = "half"
    QUARTER = "quarter"
    VAGUE = "vague"
    MY = "my"
    HOLDING = "holding"
    POSITION = "position"
    ORDER = "order"
    ORDERS = "orders"
    MONITOR = "monitor"
    OPEN = "open"
    LAST = "last"
    AND = "and"
    FILLER = "filler"
    TODAY = "today"
    NEGATION = "negation"
    PAST = "past"
    QUESTION = "question"
    POLITE_QUESTION = "polite_question"
    WHAT_IF = "what_if"
    CONDITION = "condition"
    REPORTED = "reported"
    LATER = "later"
    DERIVATIVE = "derivative"
    ADVICE = "advice"
    WHY = "why"
    REJECTED = "rejected"
    DENIED = "denied"
    STATUS = "status"
    SUMMARY = "summary"
    PNL = "pnl"
    TOTAL = "total"
    ALLOCATION = "allocation"
    CONCENTRATION = "concentration"
    EXPOSURE = "exposure"
    MARGIN = "margin"
    QUOTE = "quote"
    CHARGES = "charges"
    MONEY_IN = "money_in"
    SHOW = "show"
    HELP = "help"


def _table(**groups: str) -> dict[tuple[str, ...], frozenset[Tag]]:
    words: dict[tuple[str, ...], set[Tag]] = {}
    for tag, text in groups.items():
        for phrase in text.split("|"):
            words.setdefault(tuple(phrase.split()), set()).add(Tag(tag))
    return {phrase: frozenset(tags) for phrase, tags in words.items()}


PHRASES: dict[tuple[str, ...], frozenset[Tag]] = _table(
    **{
        "buy": (
            "buy|buying|purchase|get me|pick up|go long|long|accumulate|kharido|kharid|kharid lo|kharidlo|"
            "kharid le|kharid do|khareedo|khareed lo|kharidna hai|kharidna|le lo|lelo|lo|le|lena hai|b|add|"
            "buy karo|buy kar|buy kar do|buy kardo|buy kr|purchase karo|uthao|utha lo|le le"
        ),
        "sell": (
            "sell|selling|dump|offload|becho|bech|bech do|bechdo|bech de|bech dalo|bech lo|bechna hai|bechna|"
            "s|sell karo|sell kar do|sell kardo|sell kar|nikal do|nikaldo|nikalo|book profit in|"
            "book profits in|book profit|liquidate|hatao"
        ),
        "short": "short|short sell|sell short|short karo|short kar do|shorting",
        "exit": (
            "exit|square off|square-off|squareoff|sq off|close|close out|get out of|exit from|exit karo|"
            "close karo|close kar do|square off karo|kaat do|exit kar do|come out of"
        ),
        "cover": "cover|buy back|cover karo|cover kar do",
        "invest": "invest|put in|deploy|nivesh karo|invest karo",
        "reduce": "reduce|trim|cut|bring down|bring|pare|cut down|kam karo|scale down",
        "keep": "keep only|keep|leave only|rakho|only keep|retain",
        "place": (
            "place|put|enter|create|lagao|laga do|lagado|make|set|daal do|dalo|execute|punch|want|i want to|"
            "i would like to|i'd like to|need to|want to|i need to|i want|chahiye"
        ),
        "cancel": (
            "cancel|cancel karo|cancel kar do|cancel kardo|withdraw|revoke|radd karo|cancel kar|pull|delete|"
            "remove|cancle"
        ),
        "modify": (
            "modify|make|make it|change|edit|update|revise|badlo|badal do|amend|move|raise|lower|increase|"
            "modify karo|change karo|shift|change kar do|decrease|bump"
        ),
        "to": "to|down to|upto this",
        "by": "by",
        "shares": "shares|share|stocks|stock|nos|pcs|units|unit|share's|pieces",
        "quantity": "quantity|qty|quantities|qnty",
        "price": "price|rate|bhav|rate of|price of|daam",
        "lot": "lot|lots",
        "each": "each|each of|of each|apiece",
        "at": "at|@|at rate|at price|price at|rate at|at the rate of|at a price of|with price|for price|around",
        "at_after": "pe|par|per|bhav pe|ke bhav pe|ke rate pe|mein|rate pe",
        "for": "for|in",
        "not_above": (
            "not above|max|maximum|upto|up to|at or below|or below|or lower|no more than|not more than|"
            "at most|under|or better|se kam|maximum price|not over"
        ),
        "not_below": "not below|min|minimum|at least|at or above|or above|or higher|not less than|not under",
        "above": "above|over|crosses|se upar|upar|greater than|beyond",
        "below": "below|se niche|niche|less than|beneath",
        "limit": (
            "limit|limit order|limit price|lmt|ltd order|limit at|limit of|at limit|with limit|"
            "limit order at"
        ),
        "market": (
            "market|mkt|cmp|market price|at market|at cmp|at mkt|market order|current price|at market price|"
            "current market price|at current price|market rate|market pe|ltp|at ltp|market bhav|"
            "at the market|bazaar bhav"
        ),
        "trigger": (
            "trigger|trigger price|trg|trig|trigger at|trigger of|triggered at|trigger price of|with trigger|"
            "trg price"
        ),
        "stop": (
            "stop loss|stoploss|stop-loss|sl|stop|stop loss at|sl at|with sl|with stop loss|with stop|s.l|"
            "stop at|stoploss at"
        ),
        "target": "target|tgt|target at|take profit|with target|target price|target of",
        "sl_order": "sl order|stop loss order|stoploss order|sl limit|sl-l|stop limit|stop order|sl type",
        "sl_m": "sl-m|slm|sl m|stop loss market|sl market|sl-m order|slm order",
        "mis": (
            "mis|intraday|intra day|intra-day|day trade|daytrade|intraday mein|for intraday|in mis|"
            "in intraday|for the day"
        ),
        "cnc": "cnc|delivery|for delivery|in cnc|delivery mein|long term|in delivery|investment",
        "nrml": "nrml|overnight|carry forward",
        "mtf": "mtf|margin funded|mtf mein",
        "nse": "nse|on nse|nse mein|in nse",
        "bse": "bse|on bse|bse mein|in bse|bse pe|on the bse",
        "day": (
            "valid today|valid for today|for today|valid for the day|day order|validity day|day validity|"
            "good for day|good for the day"
        ),
        "ioc": "ioc|immediate or cancel|fill or kill",
        "ttl": "ttl|valid for|validity|expire in|expires in|good for",
        "minutes": "min|mins|minutes|minute",
        "amo": "amo|after market|after market order|after-market",
        "iceberg": "iceberg",
        "gtt": "gtt|gtt order|good till triggered|good till trigger",
        "worth": "worth|worth of|amount|amount of|ki value ka|value of",
        "rupees": "rs|inr|rupees|rupee|₹|rupaye|rupay|rupye|rps|bucks|/-",
        "percent": "%|percent|pct|per cent|percentage|pratishat",
        "of": "of|in my|out of|from|from my|on",
        "possessive": "ka|ke|ki|wala|wale|waala",
        "all": (
            "all|everything|entire|full|whole|complete|sab|saara|sara|sare|saare|pura|poora|puri|all of|"
            "every|fully|completely|sabhi"
        ),
        "half": "half|half of|aadha|adha|aadhe|adhe|half the",
        "quarter": "quarter|a quarter|quarter of|a quarter of|one fourth",
        "vague": (
            "some|few|a few|bit|a bit|little|a little|couple|a couple|a couple of|several|thoda|thode|"
            "thoda sa|kuch|many|lots of|a lot|a lot of|enough|bunch|a bunch of|tons of|handful|more|zyada|"
            "as many|maximum possible|bahut|most|most of"
        ),
        "my": "my|mera|mere|meri|mine|our|apna|apne|apni|the|this|these",
        "holding": "holding|holdings|portfolio|demat|investments|stock holding",
        "position": "position|long position|short position|positions|net position|open position|open positions",
        "order": "order|trade",
        "orders": "orders|trades|order book|orderbook",
        "monitor": (
            "alert|alerts|monitor|monitors|notify|notify me|alert me|remind me|remind|tell me when|"
            "let me know when|watch|inform me"
        ),
        "open": "open|pending|working|unfilled|active|live|running|unexecuted",
        "last": "last|latest|recent|most recent|previous|aakhri",
        "and": "and|aur|then|also|plus|&|phir|as well as",
        "filler": (
            "please|pls|plz|kindly|now|right now|abhi|immediately|asap|quickly|quick|bhai|yaar|hey|hi|hello|"
            "sir|dear|ok|okay|just|a|an|me|for me|karo|kar do|kardo|kar|do|zerodha|kite|sigmatrader|"
            "today itself|with|as|it is|only|fast|jaldi|in|is|ji|boss|namaste|go ahead and|go ahead|thanks|"
            "thank you|se|ko|mujhe|hai|new|fresh|from|i|of the|of my|counter|scrip|company|ltd|limited|"
            "on the|using|na please|product|type|exchange|of type|order for|order of|order to|mere liye|into|"
            "straight away|straightaway"
        ),
        "today": "today|aaj|todays|today's|aaj ka|aaj ke|aaj ki|aaj kitna|intraday pnl",
        "negation": (
            "don't|dont|do not|never|not|no|mat|nahi|nahin|na|avoid|stop buying|stop selling|won't|wont|"
            "shouldn't|can't|cannot|didn't|didnt|without|nope|refrain|instead of|rather than|unless|except|"
            "doesn't|isn't|mat karo|never mind|forget|ruko|wait|hold off|neither|nor|hold on|undo|cant|"
            "shouldnt|wouldn't|wouldnt"
        ),
        "past": (
            "bought|sold|purchased|kharida|kharide|becha|beche|liya|liye|shorted|exited|squared off|invested|"
            "covered|cancelled|canceled|yesterday|was|were|had|have|has|been|did|already|last week|"
            "last month|last year|ago|executed|filled|kharida tha|becha tha|tha"
        ),
        "question": (
            "what|what's|whats|how|how's|hows|when|where|who|which|is|are|does|kitna|kitne|kitni|kya|kaise|"
            "kaisa|kab|kahan|kaun|kaunsa|konsa|am|how much|how many|what is|what are|any"
        ),
        "polite_question": (
            "can you|could you|would you|will you|can i|could i|may i|shall i|shall we|can we|kya main|"
            "kya mein|do you|do i|would"
        ),
        "what_if": (
            "what if|what happens if|what would happen if|suppose|supposing|hypothetically|imagine|say i|"
            "if i|assume|assuming|agar main|agar mein|simulate|what would|if we"
        ),
        "condition": (
            "if|when it|when|once|whenever|jab|agar|as soon as|the moment|in case|until|till|after it|"
            "jaise hi|on breakout|breaks|falls|drops|rises|crosses|hits|touches|goes|reaches|falls below|"
            "drops below|goes above|provided|gir jaye|dips|on dip|on dips|tab"
        ),
        "reported": (
            "said|says|told|tells|according|tip|article|news|he|she|they|friend|guru|broker said|analyst|"
            "recommends|recommended|suggested|suggests|advised|advises|report|forwarded|message|tweet|"
            "telegram|whatsapp|heard|read|wrote|writes|claims|bola|bole|kaha|tells me|someone|people|channel|"
            "email|their|his|her|you"
        ),
        "later": (
            "tomorrow|kal|next week|next month|monday|tuesday|wednesday|thursday|friday|saturday|sunday|"
            "every day|every month|every week|daily|weekly|monthly|later|tonight|morning|afternoon|evening|"
            "am|pm|a.m|p.m|o'clock|baje|hourly|every monday|every friday|sip|parso|at open|at close|"
            "at market open|at market close|market opens|market closes|market open|market close|before close|"
            "end of day|eod"
        ),
        "derivative": (
            "ce|call|calls|put option|put options|call option|call options|option|options|futures|future|fut|"
            "strike|expiry|strangle|straddle|spread|iron condor|atm|otm|itm|weekly expiry|monthly expiry|fno|"
            "f&o|nifty|bank nifty|banknifty|sensex|finnifty|nifty 50|nifty50|midcpnifty|puts|synthetic|hedge"
        ),
        "advice": (
            "should i|should we|good buy|worth buying|recommend|suggest|advice|advise me|best stock|"
            "which stock|good time|what should|kya lena chahiye|kya karu|kya kharidu|kharidna chahiye|"
            "bechna chahiye|lena chahiye|tips|multibagger|is it good|good stock|should"
        ),
        "why": (
            "why|kyu|kyun|kyo|kyon|why did|why was|why is|why were|reason|how come|what was the reason|"
            "explain|reason for"
        ),
        "rejected": (
            "rejected|reject|rejection|failed|fail|rejected by|reject hua|reject ho gaya|not go through|"
            "bounce|bounced"
        ),
        "denied": (
            "denied|deny|blocked|veto|vetoed|riskgate|risk gate|risk check|risk|stopped|not allowed|"
            "disallowed|refused"
        ),
        "status": (
            "status|happened|what happened|kya hua|update on|state|where is|fill status|executed or not|"
            "gone through|status of"
        ),
        "summary": (
            "summary|overview|portfolio summary|brief|morning brief|snapshot|how am i doing|overall picture|"
            "dashboard"
        ),
        "pnl": (
            "pnl|p&l|p/l|profit|loss|gain|gains|profits|losses|make|made|earn|earned|kamaya|kamai|munafa|"
            "nuksan|nuksaan|return|returns|fayda|faida|up or down|p and l|pl|mtm|m2m|kamaye|performance|"
            "performing|doing|lost|lose|profit or loss|banaya|gained|ghata|up on|down on|am i up|am i down|"
            "i up|i down|in profit|in loss"
        ),
        "total": (
            "total|overall|so far|till now|till date|all time|unrealised|unrealized|net|abhi tak|kul|"
            "since purchase|altogether"
        ),
        "allocation": (
            "allocation|allocated|weight|weights|weightage|sector|sectors|split|breakdown|distribution|"
            "sector wise|diversification"
        ),
        "concentration": (
            "concentration|concentrated|biggest holding|largest holding|biggest|largest|top holding|"
            "top holdings|heaviest"
        ),
        "exposure": "exposure|gross exposure|net exposure|exposed",
        "margin": (
            "margin|margins|funds|fund|balance|cash|buying power|available balance|available cash|"
            "margin available|paisa|paise|money left|available margin|available funds|free cash|kitna paisa|"
            "wallet|limit available|collateral"
        ),
        "quote": (
            "quote|price|price of|rate of|value of|ltp|last price|current price|rate|bhav|trading at|quotes|"
            "chal raha|chal raha hai|cmp|share price|day high|day low|high|low|market price|daam|stock price|"
            "trading"
        ),
        "charges": "charges|brokerage|fees|stt|tax|taxes|cost of trading|charge|fee|stamp duty|gst",
        "money_in": "have|hold|own|holding|pada hai|pade hai|held|got|in my portfolio|holds",
        "show": (
            "show|show me|list|display|see|view|dikhao|batao|tell|tell me|bata|dikha|dikha do|bata do|check|"
            "get|give|give me|fetch|open up"
        ),
        "help": "help|what can you do|examples|how do i use|how to use|commands",
    }
)  # fmt: skip

SCALES: dict[str, Decimal] = {
    "k": Decimal(1_000), "thousand": Decimal(1_000), "hazar": Decimal(1_000), "hazaar": Decimal(1_000),
    "hajar": Decimal(1_000), "l": Decimal(100_000), "lac": Decimal(100_000), "lacs": Decimal(100_000),
    "lakh": Decimal(100_000), "lakhs": Decimal(100_000), "cr": Decimal(10_000_000), "crore": Decimal(10_000_000),
    "crores": Decimal(10_000_000), "hundred": Decimal(100), "sau": Decimal(100),
}  # fmt: skip

NUMBER_WORDS: dict[str, int] = {
    "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "eight": 8, "nine": 9, "ten": 10,
    "eleven": 11, "twelve": 12, "thirteen": 13, "fourteen": 14, "fifteen": 15, "sixteen": 16, "seventeen": 17,
    "eighteen": 18, "nineteen": 19, "twenty": 20, "thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70,
    "eighty": 80, "ninety": 90, "ek": 1, "teen": 3, "chaar": 4, "char": 4, "paanch": 5, "panch": 5, "chhe": 6,
    "saat": 7, "aath": 8, "nau": 9, "das": 10, "bees": 20, "pachas": 50, "pachaas": 50, "dozen": 12,
}  # fmt: skip

# What traders say for a company, where neither its symbol nor its registered name says it.
ALIASES: dict[str, str] = {
    "SBI": "SBIN", "STATEBANK": "SBIN", "RIL": "RELIANCE", "HUL": "HINDUNILVR", "AIRTEL": "BHARTIARTL",
    "LANDT": "LT", "LNT": "LT", "LARSEN": "LT", "MANDM": "M&M", "LIC": "LICI", "ZOMATO": "ETERNAL",
    "HDFCBK": "HDFCBANK", "ICICIBK": "ICICIBANK", "DREDDY": "DRREDDY", "SUNPHARMACEUTICALS": "SUNPHARMA",
    "BOB": "BANKBARODA", "ASIANPAINTS": "ASIANPAINT", "HCL": "HCLTECH", "NESTLE": "NESTLEIND",
    "ULTRATECH": "ULTRACEMCO",
    "INDIANOIL": "IOC", "PIDILITE": "PIDILITIND", "HEROMOTO": "HEROMOTOCO", "INDUSIND": "INDUSINDBK",
    "TATATEA": "TATACONSUM", "JIO": "JIOFIN", "JIOFINANCE": "JIOFIN", "BAJAJFINSERV": "BAJAJFINSV",
    "BAJAJFIN": "BAJFINANCE", "HINDALCO": "HINDALCO", "POWERGRID": "POWERGRID", "DMART": "DMART", "GODREJ": "GODREJCP",
    "VARUNBEV": "VBL", "LTIMINDTREE": "LTIM", "MOTHERSUMI": "MOTHERSON", "KOTAKBANK": "KOTAKBANK", "RVNL": "RVNL",
    "MAZAGON": "MAZDOCK", "CIPLA": "CIPLA", "DIVIS": "DIVISLAB", "DRREDDYS": "DRREDDY",
}  # fmt: skip

# Words of company names that name nobody alone.
GENERIC = frozenset(
    [
        "AND",
        "OF",
        "THE",
        "INDIA",
        "INDIAN",
        "LIMITED",
        "LTD",
        "INDUSTRIES",
        "INDUSTRY",
        "COMPANY",
        "CORPORATION",
        "CORP",
        "BANK",
        "FINANCE",
        "FINANCIAL",
        "SERVICES",
        "POWER",
        "STEEL",
        "OIL",
        "GAS",
        "LIFE",
        "INSURANCE",
        "GENERAL",
        "CAPITAL",
        "ENERGY",
        "PORTS",
        "SPECIAL",
        "ECONOMIC",
        "ZONE",
        "CEMENT",
        "CEMENTS",
        "MOTOR",
        "MOTORS",
        "AUTO",
        "CONSUMER",
        "PRODUCTS",
        "TECHNOLOGIES",
        "TECHNOLOGY",
        "HOLDINGS",
        "HOLDING",
        "INVESTMENT",
        "INVESTMENTS",
        "ENTERPRISE",
        "ENTERPRISES",
        "GREEN",
        "NATIONAL",
        "STATE",
        "INTERNATIONAL",
        "PHARMA",
        "PHARMACEUTICAL",
        "PHARMACEUTICALS",
        "LABORATORIES",
        "HOSPITALS",
        "HOTELS",
        "FOODS",
        "CHEMICALS",
        "DEVELOPERS",
        "HOUSING",
        "HEALTHCARE",
        "SOLUTIONS",
        "BHARAT",
        "HINDUSTAN",
        "ELECTRONICS",
        "RAILWAY",
        "NATURAL",
        "FIRST",
        "NEW",
        "GLOBAL",
        "PAINTS",
        "ETF",
        "FUND",
        "GOLD",
        "SILVER",
        "BONDS",
        "TRUST",
        "GROUP",
        "INFRA",
        "INFRASTRUCTURE",
        "PASSENGER",
        "VEHICLES",
        "INFO",
        "EDGE",
        "INSTITUTE",
    ]
)

EXAMPLES = ("buy 10 INFY at 1500", "what do I hold?", "why was my last order rejected?")

# A request to change what only its own screen may change: (any of these verbs) with (this subject), see guards.
CONTROL_VERBS = frozenset(
    [
        "turn",
        "switch",
        "set",
        "change",
        "raise",
        "increase",
        "disable",
        "enable",
        "arm",
        "disarm",
        "release",
        "activate",
        "deactivate",
        "skip",
        "bypass",
        "ignore",
        "override",
        "remove",
        "reset",
        "loosen",
        "relax",
        "lift",
        "off",
        "on",
        "pull",
        "flip",
        "engage",
        "trip",
        "unlock",
        "stop",
        "start",
        "band",
        "chalu",
        "lower",
        "reduce",
        "delete",
        "add",
        "update",
        "edit",
        "modify",
        "halt",
        "resume",
        "unhalt",
        "allow",
        "grant",
        "give",
        "show",
        "print",
        "reveal",
        "send",
        "tell",
        "display",
        "share",
        "forget",
        "pretend",
        "act",
        "hatao",
        "karo",
    ]
)
