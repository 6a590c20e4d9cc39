"""Compositions: text and calls of models put together by `+`.

::

    from llmmw.flow import compose as c

    visit = (
        "The southernmost city of France is " + c.store("city", c.generate_text(stop="."))
        + ". Its mayor is " + c.generate_text(stop=".")
    )
    text = await client.run(visit)
    context = await client.run(visit.context())
    context["city"]

The steps run one after another, and each model sees all the text before.
"""

# The map of this folder,
# lowest first:
#
#   _context       what a composition has come to
#   _composition   +, and how steps run
#   _steps         text, roles, variables, sections, branches
#   _models        steps that ask models
#   _template      Jinja

from llmmw.flow.compose._composition import Composition as Composition
from llmmw.flow.compose._composition import step as step
from llmmw.flow.compose._context import Asked as Asked
from llmmw.flow.compose._context import Context as Context
from llmmw.flow.compose._models import chat as chat
from llmmw.flow.compose._models import generate_object as generate_object
from llmmw.flow.compose._models import generate_text as generate_text
from llmmw.flow.compose._models import instruct as instruct
from llmmw.flow.compose._models import select as select
from llmmw.flow.compose._steps import c as c
from llmmw.flow.compose._steps import f as f
from llmmw.flow.compose._steps import fork as fork
from llmmw.flow.compose._steps import get_var as get_var
from llmmw.flow.compose._steps import join as join
from llmmw.flow.compose._steps import section as section
from llmmw.flow.compose._steps import section_end as section_end
from llmmw.flow.compose._steps import section_start as section_start
from llmmw.flow.compose._steps import store as store
from llmmw.flow.compose._template import j as j
