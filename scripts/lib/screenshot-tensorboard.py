"""Starts TensorBoard on a folder, opens a page of it in headless Chromium and saves a picture.

Arguments: the browser, its driver, the folder, the file, the page.
"""

import os
import sys
import tempfile
import time

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from tensorboard import program

# TensorBoard's pages go on loading after the browser has called them loaded, and say nowhere when
# they are done: wait until two pictures in a row are alike, or for a while where a film plays.
PAUSE_S = 2
LONGEST_S = 30


def serve(folder):
    # The page shows the folder as it is given here: its name, not where it lies on this machine.
    parent, name = os.path.split(os.path.realpath(folder))
    os.chdir(parent)
    board = program.TensorBoard()
    board.configure(logdir=name, host="127.0.0.1", port=0)
    return board.launch()


def open_browser(browser, driver, profile):
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    size = os.environ.get("WIDTH", "1400"), os.environ.get("HEIGHT", "1000")
    for flag in (
        "headless=new",
        # Chromium refuses to run as root, in a container for instance, with its sandbox.
        *(["no-sandbox"] if os.geteuid() == 0 else []),
        "disable-gpu",
        "disable-dev-shm-usage",
        "disable-quic",
        "disable-background-networking",
        "disable-component-update",
        "disable-sync",
        "no-first-run",
        f"user-data-dir={profile}",
        f"window-size={','.join(size)}",
    ):
        options.add_argument(f"--{flag}")
    return webdriver.Chrome(options=options, service=Service(driver))


def settled_picture(page):
    last = None
    for _ in range(LONGEST_S // PAUSE_S):
        time.sleep(PAUSE_S)
        picture = page.get_screenshot_as_png()
        if picture == last:
            break
        last = picture
    return picture


def main(browser, driver, folder, out, name):
    out = os.path.realpath(out)
    with tempfile.TemporaryDirectory() as profile:
        page = open_browser(browser, driver, profile)
        try:
            page.get(f"{serve(folder)}#{name}")
            picture = settled_picture(page)
        finally:
            page.quit()
    with open(out, "wb") as file:
        file.write(picture)
    # TensorBoard's server runs in a thread of this process, and would keep it alive.
    sys.stdout.flush()
    os._exit(0)


main(*sys.argv[1:])
