// A headless Chromium that logs in: it opens START, clicks through the provider's pages as NAME and stops at the callback.
//
//     node browser.js START REDIRECT_URI NAME
//
// Prints {"pages": [prompt, ...], "text": what the callback's page shows}. $CHROMIUM names the browser.

'use strict';

const puppeteer = require('puppeteer-core');

const BROWSERS = ['/usr/bin/chromium-headless-shell', '/usr/bin/chromium', '/usr/bin/google-chrome'];

async function main() {
    const [start, redirectUri, name] = process.argv.slice(2);
    const {existsSync} = require('node:fs');
    const executablePath = process.env.CHROMIUM ?? BROWSERS.find((path) => existsSync(path));
    const browser = await puppeteer.launch({
        executablePath,
        headless: 'shell',
        args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
    });
    try {
        const page = await browser.newPage();
        page.setDefaultTimeout(30000);
        await page.goto(start);
        const pages = [];
        while (!page.url().startsWith(redirectUri)) {
            const prompt = await page.$eval('input[name=prompt]', (input) => input.value);
            pages.push(prompt);
            if (prompt === 'login') {
                await page.type('input[name=login]', name);
                await page.type('input[name=password]', 'any');
            }
            await Promise.all([page.waitForNavigation(), page.click('button[type=submit]')]);
        }
        const text = await page.$eval('body', (body) => body.innerText);
        console.log(JSON.stringify({pages, text}));
    } finally {
        await browser.close();
    }
}

main().catch((error) => {
    console.error(error);
    process.exit(1);
});
