"""Serve a notebook as an app, without code: python docs/app.py [NOTEBOOK] [options of Voila]

The notebook is 08, the dashboard, unless another is named.

Whoever opens the page gets a kernel in which the notebook runs, and can turn its knobs. Voila
passes on nothing but what widgets say: no code is run for a visitor, no file is read for one. What
Voila leaves open is closed here: how many kernels there may be, how long an idle one lives, and the
pictures beside the notebook, which nobody needs. The page is served on this machine alone unless
`--Voila.ip` says otherwise.
"""

import sys
from datetime import timedelta
from pathlib import Path

from jupyter_client.session import utcnow
from jupyter_server.services.kernels.kernelmanager import AsyncMappingKernelManager
from tornado.web import HTTPError
from traitlets import Integer
from traitlets.config import Config
from voila.app import Voila

NOTEBOOK = Path(__file__).parent.parent / "notebooks" / "08_sparsity_explorer.ipynb"


class FewKernels(AsyncMappingKernelManager):
    """As many kernels as the machine can bear; those that nobody uses make room for others."""

    limit = Integer(4, min=1, config=True, help="How many kernels may run, of about 1 GB each.")
    unwatched = Integer(60, min=1, config=True, help="Seconds an idle kernel without a page lives.")

    def __init__(self, **options):
        super().__init__(**options)
        self.starting = set()

    async def start_kernel(self, **options):
        """Start a kernel for a visitor, or say that there are too many visitors."""
        await self.end_the_unwatched()
        if len({*self.list_kernel_ids(), *self.starting}) >= self.limit:
            raise HTTPError(503, reason="All places are taken. Please try again in a few minutes.")
        kernel_id = self.new_kernel_id(**options)
        self.starting.add(kernel_id)
        try:
            return await super().start_kernel(kernel_id=kernel_id, **options)
        finally:
            self.starting.discard(kernel_id)

    async def end_the_unwatched(self):
        """End the kernels whose page was fetched but never opened, or closed without a word."""
        limit = timedelta(seconds=self.unwatched)
        for kernel_id in self.list_kernel_ids():
            kernel = self.get_kernel(kernel_id)
            watched = self._kernel_connections.get(kernel_id, 0)
            idle = getattr(kernel, "execution_state", None) == "idle"
            if idle and not watched and utcnow() - kernel.last_activity > limit:
                await self.shutdown_kernel(kernel_id)


def settings() -> Config:
    """How Voila is set, before the options on the command line."""
    config = Config()
    config.Voila.ip = "127.0.0.1"
    config.VoilaConfiguration.multi_kernel_manager_class = FewKernels
    config.VoilaConfiguration.file_allowlist = []
    # Nobody outside chooses a template, which is a path, and nobody sees a traceback.
    config.VoilaConfiguration.allow_template_override = "NO"
    config.VoilaConfiguration.allow_theme_override = "NO"
    config.VoilaConfiguration.show_tracebacks = False
    config.FewKernels.allow_tracebacks = False
    config.FewKernels.cull_idle_timeout = 900
    config.FewKernels.cull_interval = 30
    config.FewKernels.cull_connected = True  # an open page does not keep its place for ever
    return config


if __name__ == "__main__":
    named = any(argument.endswith(".ipynb") for argument in sys.argv[1:])
    Voila.launch_instance([*([] if named else [str(NOTEBOOK)]), *sys.argv[1:]], config=settings())
