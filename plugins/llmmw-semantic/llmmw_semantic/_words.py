"""Words of English that change what is asked, and those that don't."""

from __future__ import annotations

__all__ = [
    "BE",
    "CLAUSES",
    "DATES",
    "DIRECTIONS",
    "EMPTY",
    "NEGATIONS",
    "NUMBERS",
    "OPPOSITES",
    "PREPOSITIONS",
    "PRONOUNS",
    "SCOPES",
    "SYNONYMS",
    "TENSES",
    "UNITS",
    "WHAT",
]


def _words(text: str) -> list[str]:
    return text.split()


def _table(text: str) -> dict[str, str]:
    """Lines of words that are the same; the first stands for all."""
    rows = [line.split() for line in text.strip().splitlines()]
    return {word: row[0] for row in rows for word in row}


NUMBERS = {
    word: str(number)
    for number, word in enumerate(
        _words(
            "zero _ two three four five six seven eight nine ten eleven twelve thirteen fourteen "
            "fifteen sixteen seventeen eighteen nineteen twenty"
        )
    )
} | _table(
    """
    1 first once
    2 second twice both
    3 third
    4 fourth
    5 fifth
    6 sixth
    7 seventh
    8 eighth
    9 ninth
    10 tenth
    12 dozen
    30 thirty
    40 forty
    50 fifty
    60 sixty
    70 seventy
    80 eighty
    90 ninety
    100 hundred
    1000 thousand
    1000000 million
    0.5 half
    """
)

DATES = set(
    _words(
        "monday tuesday wednesday thursday friday saturday sunday january february march "
        "april june july august september october november december today tomorrow yesterday "
        "tonight spring summer autumn fall winter christmas easter weekday weekend morning "
        "noon evening night midnight"
    )
)

UNITS = _table(
    """
    kilometre kilometer km kilometres kilometers
    metre meter metres meters
    centimetre centimeter cm centimetres centimeters
    millimetre millimeter mm millimetres millimeters
    mile miles mi
    foot feet ft
    inch inches
    yard yards
    gram grams g gramme grammes
    kilogram kilograms kg kilo kilos
    pound pounds lb lbs
    ounce ounces oz
    litre liter litres liters
    gallon gallons
    celsius centigrade
    fahrenheit
    kelvin
    second seconds
    minute minutes
    hour hours
    day days
    week weeks
    month months
    decade decades
    century centuries
    dollar dollars usd $
    euro euros eur €
    yen jpy
    sterling gbp £
    percent percentage %
    bit bits
    byte bytes
    kilobyte kilobytes kb
    megabyte megabytes mb
    gigabyte gigabytes gb
    terabyte terabytes tb
    degree degrees
    watt watts
    volt volts
    """
)

NEGATIONS = set(
    _words(
        "not no never none nobody nothing neither nor without except cannot avoid exclude "
        "excluding unless lacking"
    )
)

SCOPES = _table(
    """
    all every each everything everyone always whole entire
    any anything anyone
    some something someone sometimes
    only just merely solely
    most mostly usually
    few little
    """
)

TENSES = _table(
    """
    past was were did had been yesterday ago
    future will shall going
    present is are am do does can could may must should
    """
)

DIRECTIONS = set(_words("to from into onto than by over under against towards toward beat versus"))

PREPOSITIONS = {
    word: {"into": "to", "toward": "to", "towards": "to", "onto": "on"}.get(word, word)
    for word in _words(
        "to into toward towards from in on onto at by for with without about of over under through "
        "during before after between against than as via per within across behind near"
    )
}
PRONOUNS = set(_words("i we you they he she it one"))
BE = set(_words("is are am was were be been being"))
CLAUSES = set(
    _words(
        "can could may might must should shall will would has have had who whom whose what which "
        "when where why how if then so that but"
    )
)

OPPOSITES = [
    (set(left.split()), set(right.split()))
    for left, right in (
        line.split("|")
        for line in """
        before prior | after following
        over above more greater higher | under below less fewer lower
        within | after beyond
        increase raise grow bigger | decrease reduce lower shrink smaller
        maximum max highest most | minimum min lowest least
        largest biggest greatest | smallest least tiniest
        longest | shortest
        tallest | shortest
        best better | worst worse
        good healthy safe | bad unhealthy unsafe harmful
        benefit advantage pro | drawback disadvantage con risk
        enable activate on up start begin open | disable deactivate off down stop end close
        start begin begun | stop end finish
        open | close closed shut
        install add insert create | uninstall remove delete drop
        buy purchase | sell rent
        import upload | export download
        win won winner | lose lost loser
        gain | lose loss
        boiling boil | freezing freeze melting
        freeze | thaw
        hot warm | cold cool
        left | right
        north | south
        east | west
        push | pull
        send | receive
        borrow | lend
        accept allow permit grant | reject deny forbid revoke
        include cover | exclude
        synonym | antonym opposite
        first earliest | last latest
        next | last previous
        same | different opposite
        light | dark
        positive | negative
        public | private
        encrypt encode lock | decrypt decode unlock
        cancel | renew keep
        delete remove erase lose | restore recover
        child children kid | adult grown-up
        success succeed pass | failure fail
        cause | cure prevent
        indoor inside | outdoor outside
        beginner novice | expert
        male man men boy | female woman women girl
        dead die | alive live
        hide | show reveal
        connect | disconnect
        follow | unfollow
        raw | cooked
        fresh | frozen
        wet | dry
        debit | credit
        input | output
        import | export
        arrive arrival | depart departure leave
        deficiency lack | excess overdose
        ascending | descending reverse
        forward | backward reverse
        return refund | exchange
        old | new
        vertical | horizontal
        internal | external
        """.strip().splitlines()
    )
]

SYNONYMS = _table(
    """
    big large huge great bigger biggest larger largest
    small little tiny smaller smallest
    fast quick rapid speedy
    begin start commence launch
    end finish stop terminate
    buy purchase acquire
    fix repair mend
    leak drip
    remove delete erase
    build construct built
    show display view see
    give grant provide award offer
    get obtain receive
    turn change convert transform into
    move transfer shift
    choose select pick
    differ difference distinguish versus vs
    author wrote write writer written
    paint painter artist painted
    invent inventor create creator discover discoverer
    win won winner victory
    happen occur
    consequence effect result outcome
    error mistake bug fault problem issue
    symptom sign
    lack deficiency shortage
    illness disease sickness
    doctor physician
    kid child children
    car automobile vehicle
    job work employment
    salary pay wage
    cheap inexpensive affordable
    expensive costly
    movie film
    picture image photo photograph
    phone telephone
    number count
    mail email e-mail
    shop store
    city town
    country nation
    population inhabitants people live residents
    high height tall
    long length duration
    deep depth
    wide width
    heavy weight weigh weighs
    old age
    far distance away
    hot warm temperature
    cold cool
    safe harmless
    healthy good
    food eat eating
    drink drinking beverage
    sleep sleeping asleep
    clean wash
    throw discard
    permit allow let
    forbid prohibit ban
    require need must necessary required
    prevent stop avoid
    improve better enhance
    increase raise grow
    decrease reduce lower
    check verify examine inspect
    search find look locate
    speak talk say
    join merge combine concatenate
    split divide separate
    function method
    dict dictionary dictionaries
    2fa two-factor authentication
    hello hi hey
    quickly fast
    teach learn
    travel trip journey visit
    flight fly
    train rail
    possible can
    pupil student
    ill sick
    holiday vacation
    autumn fall
    lift elevator
    flat apartment
    petrol gasoline gas
    motorway highway freeway
    """
)

EMPTY = set(
    _words(
        "a an the this that these those it its i me my mine we us our you your he him his she "
        "her they them their one who whom whose what which when where why how be is are am "
        "was were been being do does did done doing have has had having will would shall "
        "should can could may might must of in on at to from for with about as by into onto "
        "than and or but if then so there here tell explain give show say describe help know "
        "want need get let ask find please kindly way step steps method command recipe "
        "procedure process name number amount list word kind type possible able allowed "
        "exactly really actually also too very much many long best right already called "
        "person somebody hours price cost charge fee meaning mean definition define summary "
        "summarize answer question like whether due calculate compute write compose make some "
        "any go take count use using required"
    )
)

WHAT = dict.fromkeys(["who", "whom", "whose"], "who")
WHAT |= {"when": "when", "where": "where", "why": "why"}
