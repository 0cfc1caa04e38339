"""What axe-core finds wrong with what a browser shows, its frames included."""

# Every rule that it has switched on, and the one about the size of what is pressed (WCAG 2.2, 2.5.8), which it has not.
RUN = """
const done = arguments[0], rules = {"target-size": {enabled: true}};
axe.run(document, {rules, resultTypes: ["violations", "incomplete"]})
 .then(done, reason => done({reason: String(reason)}));
"""
# Tells that a frame was not looked into.
UNSEEN = "frame-tested"


def find_faults(browser, axe):
    """(rule, impact, element as HTML, what is wrong) of each fault.

    Args:
        axe: text of axe.min.js.
    """
    browser.wait(lambda driver: _teach(driver, axe), "axe-core in every frame")
    result = browser.driver.execute_async_script(RUN)
    assert "violations" in result, result
    found = result["violations"] + [rule for rule in result["incomplete"] if rule["id"] == UNSEEN]
    return {
        (rule["id"], rule["impact"], node["html"][:200], node["failureSummary"])
        for rule in found
        for node in rule["nodes"]
    }


def _teach(driver, axe):
    """Load axe-core into the page and its frames, from the beginning where one is replaced meanwhile; True."""
    driver.execute_script(axe)
    for frame in driver.find_elements("tag name", "iframe"):
        try:
            driver.switch_to.frame(frame)
            driver.execute_script(axe)
        finally:
            driver.switch_to.default_content()
    return True
