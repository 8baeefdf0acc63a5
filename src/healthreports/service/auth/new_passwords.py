"""What a new password must not be: too short, what many people have, one's own name or address."""

import re
from collections.abc import Sequence
from typing import Final

from healthreports.core.errors import Fault, Problem
from healthreports.core.model import User
from healthreports.core.rules.people import check_password

# zxcvbn's own bound; what stands behind it makes a password no weaker.
_JUDGED: Final = 72
# Of 0 to 4: more than 10^10 guesses. With 15 characters only what is known or repeated has less.
_STRONG: Final = 4
_PRODUCT: Final = "healthreports health reports"
_WORDS: Final = re.compile(r"\w+")


def check_new_password(password: str, user: User, account: Sequence[str] = ()) -> list[Problem]:
    """The faults in a password that `user` chooses. It may take tens of milliseconds.

    It is compared with lists of the most common passwords, names and words, those of the package
    zxcvbn, and with the user's name and address, what the `account` is called, and this product
    (NIST SP 800-63B, 3.1.1.2).
    """
    if problems := check_password(password):
        return problems
    # Its lists take some 15 MB, which a process that changes no password does not need.
    from zxcvbn import zxcvbn  # noqa: PLC0415

    of_user = [user.full_name, user.email_address, *account, _PRODUCT]
    words = [word for text in of_user for word in _WORDS.findall(text)]
    judged = zxcvbn(password[:_JUDGED], user_inputs=[*of_user, *words])
    if judged["score"] < _STRONG:
        return [Problem("password", Fault.EASY_TO_GUESS)]
    return []
